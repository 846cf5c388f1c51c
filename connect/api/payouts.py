"""A seller's payouts: from their account at Stripe to their bank."""

from typing import Any, cast
from uuid import UUID

from django.conf import settings
from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from connect.models import SellerPayout
from connect.payouts import request_payout
from connect.states import PayoutStatus
from veza.core.api.idempotency import idempotent
from veza.core.api.inputs import Input, input_of
from veza.core.api.requests import cause_of
from veza.core.api.throttles import MovingMoney, Reading
from veza.core.models import User
from veza.core.money import MAX_MINOR


class PayoutInput(Input):
    amount_minor = serializers.IntegerField(min_value=1, max_value=MAX_MINOR)
    currency = serializers.ChoiceField(choices=settings.CURRENCIES)


class PayoutOutput(serializers.ModelSerializer[SellerPayout]):
    """One payout. `external_payout_id` is Stripe's. A bank may still return a `paid` one: then it is `failed`."""

    class Meta:
        model = SellerPayout
        fields = [
            "id",
            "status",
            "amount_minor",
            "currency",
            "external_payout_id",
            "failure_code",
            "failure_message",
            "created_at",
        ]
        read_only_fields = fields


class Payouts(ListAPIView[SellerPayout]):
    serializer_class = PayoutOutput
    queryset = SellerPayout.objects.none()
    throttle_classes = (Reading, MovingMoney)

    def get_queryset(self) -> QuerySet[SellerPayout]:
        return SellerPayout.objects.filter(seller=cast(User, self.request.user))

    @extend_schema(operation_id="list_payouts", tags=["connect"], summary="Your payouts, newest first")
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """The seller's own payouts, newest first."""
        return super().get(request, *args, **kwargs)

    @extend_schema(
        operation_id="create_payout",
        tags=["connect"],
        summary="Pay out to your bank",
        description="Never more than `available_minor` of your balance: what your account at Stripe has, less shares "
        "of sales that are too young (`payout_not_mature` says from when), and less what is disputed, in a refund, to "
        "be reversed, or in a payout without an answer. 202: Stripe has not answered yet; Veza repeats the request "
        "until it has.",
        request=PayoutInput,
        responses={201: PayoutOutput, 202: PayoutOutput},
        examples=[OpenApiExample("Fifty euros", {"amount_minor": 50_00, "currency": "EUR"}, request_only=True)],
    )
    @idempotent
    def post(self, request: Request, *, result_id: UUID) -> Response:
        """Ask Stripe to pay out to the seller's bank."""
        payload = input_of(request, PayoutInput)
        seller = cast(User, request.user)
        payout = request_payout(payout_id=result_id, seller_id=seller.pk, cause=cause_of(request), **payload)
        is_unanswered = payout.status == PayoutStatus.PENDING and payout.external_payout_id is None
        return Response(PayoutOutput(payout).data, status=202 if is_unanswered else 201)
