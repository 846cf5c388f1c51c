"""The doors of a subscription: take one, pay for it, change it, end it, and see how one stands."""

from typing import Any
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from subscriptions import changes, completion, subscribing
from subscriptions.api.invoices import InvoiceOutput
from subscriptions.api.plans import PlanOutput
from subscriptions.models import Subscription
from subscriptions.offers import Offer
from subscriptions.standing import Standing, standing_of
from subscriptions.states import SubscriptionStatus
from veza.core.api.idempotency import idempotent
from veza.core.api.requests import cause_of, user_id_of
from veza.core.api.throttles import MovingMoney, Reading
from veza.core.models import User


class PlanInput(serializers.Serializer[Any]):
    plan_id = serializers.UUIDField()


class CancelInput(serializers.Serializer[Any]):
    now = serializers.BooleanField(default=False, help_text="True ends it at once; false when the period ends.")


class SubscriptionOutput(serializers.ModelSerializer[Subscription]):
    subscription_id = serializers.UUIDField(source="id", help_text="The same as `id`.")
    plan = PlanOutput()
    next_plan = PlanOutput(allow_null=True, help_text="What it becomes when the period ends; null: the same plan.")

    class Meta:
        model = Subscription
        fields: tuple[str, ...] = (
            "id",
            "subscription_id",
            "status",
            "plan",
            "next_plan",
            "period_start_at",
            "period_end_at",
            "trial_ends_at",
            "cancel_at_period_end",
            "created_at",
            "ended_at",
        )


class SubscriptionOffer(SubscriptionOutput):
    invoice = InvoiceOutput(allow_null=True)
    hyperswitch_payment_id = serializers.CharField(allow_null=True)
    payment_url = serializers.CharField(allow_null=True, help_text="Where to pay; null when nothing is owed.")
    client_secret = serializers.CharField(
        allow_null=True, help_text="For an embedded payment form; never stored, so a replayed answer has none."
    )

    class Meta:
        model = Subscription
        fields = (
            *SubscriptionOutput.Meta.fields,
            "invoice",
            "hyperswitch_payment_id",
            "payment_url",
            "client_secret",
        )


class StandingOutput(serializers.Serializer[Standing]):
    subscription = SubscriptionOutput(allow_null=True)
    active = serializers.BooleanField(help_text="Whether it opens doors now.")
    plan = PlanOutput(allow_null=True, help_text="The plan whose rights it gives now.")
    period_start_at = serializers.DateTimeField(allow_null=True)
    period_end_at = serializers.DateTimeField(allow_null=True)
    needs_payment = serializers.BooleanField()
    complete_url = serializers.CharField(allow_null=True, help_text="Where to POST to get a payment page.")
    message = serializers.CharField()


def shown_offer(made: Offer) -> dict[str, Any]:
    """A subscription as the API writes it, with what it owes and where to pay that."""
    payment, invoice = made.payment, made.invoice
    return dict(SubscriptionOutput(made.subscription).data) | {
        "invoice": InvoiceOutput(invoice).data if invoice else None,
        "hyperswitch_payment_id": payment.hyperswitch_payment_id if payment else None,
        "payment_url": made.payment_url or None,
        "client_secret": made.client_secret or None,
    }


def _status_of(made: Offer, done: int) -> int:
    """202 while something is owed and the provider has not said where to pay it."""
    waits = made.payment is not None and made.subscription.status == SubscriptionStatus.PENDING_PAYMENT
    return 202 if waits and not made.payment_url else done


class Subscribe(APIView):
    throttle_classes = (Reading, MovingMoney)

    @extend_schema(
        operation_id="create_subscription",
        summary="Subscribe to a plan",
        description="A free plan and a trial begin at once. A paid plan waits as `pending_payment` for its invoice, "
        "which is paid at `payment_url`; 202 without one when the payment provider has not answered yet: ask "
        "`/subscriptions/complete/{id}` a little later.",
        request=PlanInput,
        responses={201: SubscriptionOffer, 202: SubscriptionOffer},
        examples=[
            OpenApiExample("A plan", {"plan_id": "0190a000-0000-7000-8000-000000000001"}, request_only=True),
        ],
        tags=["subscriptions"],
    )
    @idempotent
    def post(self, request: Request, *, result_id: UUID) -> Response:
        params = PlanInput(data=request.data)
        params.is_valid(raise_exception=True)
        user = request.user
        assert isinstance(user, User)
        made = subscribing.request_subscription(
            subscription_id=result_id,
            user=user,
            plan_id=params.validated_data["plan_id"],
            cause=cause_of(request),
            at=timezone.now(),
        )
        return Response(shown_offer(made), status=_status_of(made, 201))


class Complete(APIView):
    throttle_classes = (Reading, MovingMoney)

    @extend_schema(
        operation_id="complete_subscription",
        summary="Get the page where an unpaid subscription is paid",
        description="The same payment while it lives, a new one when it is dead. 409 `nothing_to_pay` when nothing "
        "is owed, 409 `payment_under_way` while a payment is being decided.",
        request=None,
        responses={200: SubscriptionOffer, 202: SubscriptionOffer},
        tags=["subscriptions"],
    )
    @idempotent
    def post(self, request: Request, pk: UUID, *, result_id: UUID) -> Response:
        made = completion.request_completion(
            subscription_id=pk,
            payment_id=result_id,
            user_id=user_id_of(request),
            cause=cause_of(request),
            at=timezone.now(),
        )
        return Response(shown_offer(made), status=200 if made.payment_url else 202)


class Cancel(APIView):
    @extend_schema(
        operation_id="cancel_subscription",
        summary="End your subscription",
        description="When the paid period ends, or at once with `now`. One that was never paid ends at once. Nothing "
        "is sent back for the rest of a period.",
        request=CancelInput,
        responses=SubscriptionOutput,
        tags=["subscriptions"],
    )
    @idempotent
    def post(self, request: Request, *, result_id: UUID) -> Response:
        params = CancelInput(data=request.data)
        params.is_valid(raise_exception=True)
        now = params.validated_data["now"]
        ended = changes.cancel(user_id=user_id_of(request), now=now, cause=cause_of(request), at=timezone.now())
        return Response(SubscriptionOutput(ended).data)


class Change(APIView):
    @extend_schema(
        operation_id="change_subscription",
        summary="Change the plan from the next period on",
        description="Naming the plan you have goes on with it, and takes a cancellation back.",
        request=PlanInput,
        responses=SubscriptionOutput,
        tags=["subscriptions"],
    )
    @idempotent
    def post(self, request: Request, *, result_id: UUID) -> Response:
        params = PlanInput(data=request.data)
        params.is_valid(raise_exception=True)
        plan_id = params.validated_data["plan_id"]
        changed = changes.change_plan(user_id=user_id_of(request), plan_id=plan_id, at=timezone.now())
        return Response(SubscriptionOutput(changed).data)


class MySubscription(APIView):
    @extend_schema(
        operation_id="get_subscription",
        summary="How you stand",
        description="Your subscription with its plan and period, none, or one that needs a payment and how to make it.",
        responses=StandingOutput,
        tags=["me"],
    )
    def get(self, request: Request) -> Response:
        return Response(shown_standing(standing_of(user_id_of(request), at=timezone.now())))


def shown_standing(standing: Standing) -> dict[str, Any]:
    """How somebody stands, as the API writes it."""
    held, effective = standing.subscription, standing.effective
    return {
        "subscription": SubscriptionOutput(held).data if held else None,
        "active": effective is not None,
        "plan": PlanOutput(effective.plan).data if effective else None,
        "period_start_at": held.period_start_at if held else None,
        "period_end_at": held.period_end_at if held else None,
        "needs_payment": standing.needs_payment,
        "complete_url": f"/api/v1/subscriptions/complete/{held.pk}" if held and standing.needs_payment else None,
        "message": standing.message,
    }
