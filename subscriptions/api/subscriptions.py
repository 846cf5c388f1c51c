"""The API of a subscription: subscribe, pay, change the plan, cancel, and read the overview."""

from typing import Any
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from subscriptions import changes, completion, payment_methods, subscribing
from subscriptions.api.invoices import InvoiceOutput
from subscriptions.api.plans import PlanOutput
from subscriptions.checkout import Checkout
from subscriptions.models import Subscription
from subscriptions.overview import SubscriptionOverview, overview_of
from subscriptions.prices import AnnouncedPrice
from subscriptions.states import SubscriptionStatus
from veza.core.api.idempotency import idempotent
from veza.core.api.inputs import Input, NoInput, input_of
from veza.core.api.requests import cause_of, user_id_of
from veza.core.api.throttles import MovingMoney, Reading
from veza.core.models import User


class PlanInput(Input):
    plan_id = serializers.UUIDField()


class CancelInput(Input):
    now = serializers.BooleanField(default=False, help_text="True: it ends immediately. False: when the period ends.")


class SubscriptionOutput(serializers.ModelSerializer[Subscription]):
    subscription_id = serializers.UUIDField(source="id", help_text="The same as `id`.")
    plan = PlanOutput()
    next_plan = PlanOutput(allow_null=True, help_text="The plan after this period. Null: the same plan.")

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


class SubscriptionCheckout(SubscriptionOutput):
    invoice = InvoiceOutput(allow_null=True)
    hyperswitch_payment_id = serializers.CharField(allow_null=True)
    payment_url = serializers.CharField(
        allow_null=True,
        help_text="Where to pay. Null when there is nothing to pay, or while there is no payment page yet.",
    )
    client_secret = serializers.CharField(
        allow_null=True, help_text="For an embedded payment form. It is never stored: null in a replayed response."
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


class PriceChangeOutput(serializers.Serializer[AnnouncedPrice]):
    from_at = serializers.DateTimeField(help_text="The first renewal at the new price, if each is paid on time.")
    price_minor = serializers.IntegerField(source="plan.price_minor", help_text="The new price before tax.")
    tax_basis_points = serializers.IntegerField(source="plan.tax_basis_points")
    total_minor = serializers.IntegerField(source="plan.total_minor", help_text="What one period will cost, with tax.")
    currency = serializers.CharField(source="plan.currency")


class SubscriptionOverviewOutput(serializers.Serializer[SubscriptionOverview]):
    subscription = SubscriptionOutput(allow_null=True)
    active = serializers.BooleanField(help_text="Whether it gives access now.")
    plan = PlanOutput(allow_null=True, help_text="The plan whose features it gives access to now.")
    period_start_at = serializers.DateTimeField(allow_null=True)
    period_end_at = serializers.DateTimeField(allow_null=True)
    needs_payment = serializers.BooleanField()
    complete_url = serializers.CharField(allow_null=True, help_text="Where to POST to get the payment page.")
    will_be_charged = serializers.BooleanField(
        help_text="Whether the next renewal is charged to the saved payment method. False: you are asked to pay."
    )
    method_expires_on = serializers.DateField(allow_null=True, help_text="The last day of the saved card, if known.")
    price_change = PriceChangeOutput(
        allow_null=True, help_text="A price that was announced for your plan. Null: the price of `subscription.plan`."
    )
    message = serializers.CharField()


def serialize_checkout(checkout: Checkout) -> dict[str, Any]:
    """A subscription as the API returns it, with its unpaid invoice and where to pay it."""
    payment, invoice = checkout.payment, checkout.invoice
    return dict(SubscriptionOutput(checkout.subscription).data) | {
        "invoice": InvoiceOutput(invoice).data if invoice else None,
        "hyperswitch_payment_id": payment.hyperswitch_payment_id if payment else None,
        "payment_url": checkout.payment_url or None,
        "client_secret": checkout.client_secret or None,
    }


def _http_status_of(checkout: Checkout) -> int:
    """202 while there is something to pay and no payment page yet, otherwise 201."""
    is_unpaid = checkout.payment is not None and checkout.subscription.status == SubscriptionStatus.PENDING_PAYMENT
    return 202 if is_unpaid and not checkout.payment_url else 201


class Subscribe(APIView):
    throttle_classes = (Reading, MovingMoney)

    @extend_schema(
        operation_id="create_subscription",
        summary="Subscribe to a plan",
        description="A free plan and a trial begin immediately. A paid plan is `pending_payment` until its invoice is "
        "paid at `payment_url`; 202 without one when the payment provider has not answered yet: request "
        "`/subscriptions/complete/{id}` later.",
        request=PlanInput,
        responses={201: SubscriptionCheckout, 202: SubscriptionCheckout},
        examples=[
            OpenApiExample("A plan", {"plan_id": "0190a000-0000-7000-8000-000000000001"}, request_only=True),
        ],
        tags=["subscriptions"],
    )
    @idempotent
    def post(self, request: Request, *, result_id: UUID) -> Response:
        payload = input_of(request, PlanInput)
        user = request.user
        assert isinstance(user, User)
        checkout = subscribing.request_subscription(
            subscription_id=result_id,
            user=user,
            plan_id=payload["plan_id"],
            cause=cause_of(request),
            at=timezone.now(),
        )
        return Response(serialize_checkout(checkout), status=_http_status_of(checkout))


class Complete(APIView):
    throttle_classes = (Reading, MovingMoney)

    @extend_schema(
        operation_id="complete_subscription",
        summary="Get the payment page of an unpaid subscription",
        description="The last payment while its page is open, otherwise a new one. 409 `nothing_to_pay` when there is "
        "nothing to pay, 409 `payment_under_way` while a payment is in progress.",
        request=None,
        responses={200: SubscriptionCheckout, 202: SubscriptionCheckout},
        tags=["subscriptions"],
    )
    @idempotent
    def post(self, request: Request, pk: UUID, *, result_id: UUID) -> Response:
        input_of(request, NoInput)
        checkout = completion.request_completion(
            subscription_id=pk,
            payment_id=result_id,
            user_id=user_id_of(request),
            cause=cause_of(request),
            at=timezone.now(),
        )
        return Response(serialize_checkout(checkout), status=200 if checkout.payment_url else 202)


class Cancel(APIView):
    @extend_schema(
        operation_id="cancel_subscription",
        summary="Cancel your subscription",
        description="It ends with the paid period, or immediately with `now`. An unpaid one ends immediately. "
        "The rest of a period is not refunded.",
        request=CancelInput,
        responses=SubscriptionOutput,
        tags=["subscriptions"],
    )
    @idempotent
    def post(self, request: Request, *, result_id: UUID) -> Response:
        payload = input_of(request, CancelInput)
        now = payload["now"]
        subscription = changes.cancel(user_id=user_id_of(request), now=now, cause=cause_of(request), at=timezone.now())
        return Response(SubscriptionOutput(subscription).data)


class Change(APIView):
    @extend_schema(
        operation_id="change_subscription",
        summary="Change the plan from the next period on",
        description="Your current plan undoes an earlier change. A cancellation at the period's end is undone too, and "
        "an upgrade that is not paid yet is withdrawn.",
        request=PlanInput,
        responses=SubscriptionOutput,
        tags=["subscriptions"],
    )
    @idempotent
    def post(self, request: Request, *, result_id: UUID) -> Response:
        payload = input_of(request, PlanInput)
        plan_id = payload["plan_id"]
        subscription = changes.change_plan(
            user_id=user_id_of(request), plan_id=plan_id, cause=cause_of(request), at=timezone.now()
        )
        return Response(SubscriptionOutput(subscription).data)


class PaymentMethod(APIView):
    throttle_classes = (Reading, MovingMoney)

    @extend_schema(
        operation_id="change_payment_method",
        summary="Use another payment method",
        description="`payment_url` is the page of the unpaid invoice, if there is one: the method that pays it is "
        "saved. Otherwise it is a page that saves a method and charges nothing; until then the saved one is charged. "
        "202 without one when the payment provider has not answered yet: request it again. 200 without one: nothing "
        "more is charged to the saved method, and the page of the next renewal saves the new one.",
        request=None,
        responses={200: SubscriptionCheckout, 202: SubscriptionCheckout},
        tags=["subscriptions"],
    )
    @idempotent
    def post(self, request: Request, *, result_id: UUID) -> Response:
        input_of(request, NoInput)
        checkout = payment_methods.request_replacement(
            user_id=user_id_of(request), payment_id=result_id, cause=cause_of(request), at=timezone.now()
        )
        is_waiting = (checkout.has_setup or checkout.payment is not None) and not checkout.payment_url
        return Response(serialize_checkout(checkout), status=202 if is_waiting else 200)

    @extend_schema(
        operation_id="delete_payment_method",
        summary="Remove the saved payment method",
        description="409 `only_payment_method` unless the subscription is cancelled: it could not renew.",
        request=None,
        responses=SubscriptionOutput,
        tags=["subscriptions"],
    )
    def delete(self, request: Request) -> Response:
        input_of(request, NoInput)
        subscription = payment_methods.remove(user_id=user_id_of(request), at=timezone.now())
        return Response(SubscriptionOutput(subscription).data)


class MySubscription(APIView):
    @extend_schema(
        operation_id="get_subscription",
        summary="Read your subscription",
        description="Your subscription with its plan and period, and how to pay if it needs a payment.",
        responses=SubscriptionOverviewOutput,
        tags=["me"],
    )
    def get(self, request: Request) -> Response:
        return Response(serialize_overview(overview_of(user_id_of(request), at=timezone.now())))


def serialize_overview(overview: SubscriptionOverview) -> dict[str, Any]:
    """The overview as the API returns it."""
    subscription, payment = overview.subscription, overview.effective_payment
    complete_path = f"/api/v1/subscriptions/complete/{subscription.pk}" if subscription else None
    return {
        "subscription": SubscriptionOutput(subscription).data if subscription else None,
        "active": payment is not None,
        "plan": PlanOutput(payment.plan).data if payment else None,
        "period_start_at": subscription.period_start_at if subscription else None,
        "period_end_at": subscription.period_end_at if subscription else None,
        "needs_payment": overview.needs_payment,
        "complete_url": complete_path if overview.needs_payment else None,
        "will_be_charged": overview.will_be_charged,
        "method_expires_on": subscription.method_expires_on if subscription else None,
        "price_change": PriceChangeOutput(overview.price_change).data if overview.price_change else None,
        "message": overview.message,
    }
