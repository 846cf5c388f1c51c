"""The API of an order's refunds: request one, read them, withdraw a request that support has to decide."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from marketplace.models import Order
from marketplace.refund_applications import withdraw_application
from marketplace.refund_listing import ListedStatus, describe_refund, refunds_of
from marketplace.refunds import RefundRequest, request_refund
from veza.core.api.idempotency import idempotent
from veza.core.api.inputs import Input, NoInput, input_of
from veza.core.api.requests import cause_of
from veza.core.api.throttles import MovingMoney, Reading
from veza.core.models import User
from veza.core.money import MAX_MINOR

_MESSAGES = {
    ListedStatus.REQUESTED: "Your request was received. Our support decides; the licences stay valid meanwhile.",
    ListedStatus.PENDING: "The refund is pending. It is final when the payment provider confirms it.",
}


class RefundInput(Input):
    reason = serializers.CharField(max_length=500)
    items = serializers.ListField(
        child=serializers.UUIDField(),
        required=False,
        allow_empty=False,
        max_length=50,
        help_text="Ids of order items, each once. Omitted: all that you may refund.",
    )
    amount_minor = serializers.IntegerField(
        required=False,
        min_value=1,
        max_value=MAX_MINOR,
        help_text="For sellers and staff: at most what is left to refund of the items. Omitted: all of it.",
    )

    def validate_items(self, items: list[UUID]) -> list[UUID]:
        repeated = sorted({str(item) for item in items if items.count(item) > 1})
        if repeated:
            raise serializers.ValidationError(f"Each item once: {', '.join(repeated)} is repeated.", code="repeated")
        return items


class RefundItemOutput(serializers.Serializer[Any]):
    id = serializers.UUIDField(help_text="The order item.")
    title = serializers.CharField()
    amount_minor = serializers.IntegerField()


class RefundOutput(serializers.Serializer[Any]):
    """A refund, or a request for one that support has to decide. A seller sees the amounts of their own items."""

    id = serializers.UUIDField()
    status = serializers.ChoiceField(choices=ListedStatus.choices)
    amount_minor = serializers.IntegerField()
    currency = serializers.CharField()
    items = RefundItemOutput(many=True)
    requested_by = serializers.CharField(help_text="buyer, seller, support or veza.")
    reason = serializers.CharField(allow_null=True, help_text="As it was requested; null if another side requested it.")
    explanation = serializers.CharField(
        allow_null=True, help_text="What the status means for the buyer: why it failed or was declined, who decides."
    )
    created_at = serializers.DateTimeField()


class RefundRequestOutput(serializers.Serializer[Any]):
    status = serializers.ChoiceField(choices=ListedStatus.choices, help_text="That of the refund.")
    refund = RefundOutput()
    message = serializers.CharField()


class RefundListOutput(serializers.Serializer[Any]):
    results = RefundOutput(many=True)


class RefundOrder(GenericAPIView[Order]):
    throttle_classes = (Reading, MovingMoney)

    @extend_schema(
        operation_id="refund_order",
        summary="Request a refund of an order",
        description="The buyer gives back the whole order or some items; a seller refunds their own items, whole or by "
        "an amount; staff with the permission any order. Without `items` and `amount_minor` it is all that the caller "
        "may refund. The refund is pending until the payment provider reports that it succeeded. A buyer who has given "
        "back many orders, or gives back an exclusive licence again, gets the status `requested`: support decides.",
        request=RefundInput,
        responses={202: RefundRequestOutput},
        examples=[OpenApiExample("The whole order", {"reason": "The files do not open."}, request_only=True)],
    )
    @idempotent
    def post(self, request: Request, pk: UUID, *, result_id: UUID) -> Response:
        payload = input_of(request, RefundInput)
        user = request.user
        assert isinstance(user, User)
        refund_request = RefundRequest(payload["reason"], payload.get("items"), payload.get("amount_minor"))
        cause = cause_of(request, refund_request.reason)
        row = request_refund(
            refund_id=result_id, order_id=pk, requested_by=user, refund_request=refund_request, cause=cause
        )
        refund = describe_refund(row, reader=user)
        message = _MESSAGES.get(refund.status, f"The refund is {refund.status}.")
        answer = {"status": refund.status, "refund": refund, "message": message}
        return Response(RefundRequestOutput(answer).data, status=202)


class OrderRefunds(GenericAPIView[Order]):
    @extend_schema(
        operation_id="list_order_refunds",
        summary="List the refunds of an order, newest first",
        description="For the buyer, for sellers (of their own items only), and for staff with the permission. At most "
        "the newest 100.",
        responses={200: RefundListOutput},
    )
    def get(self, request: Request, pk: UUID) -> Response:
        user = request.user
        assert isinstance(user, User)
        return Response(RefundListOutput({"results": refunds_of(pk, reader=user)}).data)


class WithdrawRefund(GenericAPIView[Order]):
    throttle_classes = (Reading, MovingMoney)

    @extend_schema(
        operation_id="withdraw_refund",
        summary="Withdraw a refund request that support has not decided",
        request=NoInput,
        responses={200: RefundOutput},
    )
    def post(self, request: Request, pk: UUID) -> Response:
        input_of(request, NoInput)
        buyer = request.user
        assert isinstance(buyer, User)
        cause = cause_of(request, "The buyer withdrew it.")
        application = withdraw_application(application_id=pk, buyer=buyer, cause=cause)
        return Response(RefundOutput(describe_refund(application, reader=buyer)).data)
