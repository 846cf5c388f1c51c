"""The API of orders: place one, read it, request a refund."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db.models import Prefetch, QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from marketplace.allocation import refunded_minor
from marketplace.models import LicenseKind, Order, OrderItem
from marketplace.orders import OrderLine, RequestedOrder, request_order
from marketplace.refunds import RefundRequest, request_refund
from marketplace.states import OrderStatus
from payments.models import Payment, Refund
from payments.states import PaymentStatus, RefundStatus
from veza.core.api.filters import AllowedFilters, AllowedOrdering
from veza.core.api.idempotency import idempotent
from veza.core.api.inputs import Input, input_of
from veza.core.api.requests import cause_of, user_id_of
from veza.core.api.throttles import MovingMoney, Reading
from veza.core.models import User
from veza.core.money import MAX_MINOR


class OrderLineInput(Input):
    product_id = serializers.UUIDField()
    license = serializers.ChoiceField(choices=LicenseKind.choices)


class OrderInput(Input):
    items = OrderLineInput(many=True, allow_empty=False, max_length=50)  # type: ignore[call-arg]  # ListSerializer has it.


class OrderItemOutput(serializers.ModelSerializer[OrderItem]):
    product_id = serializers.UUIDField(source="offer.product_id")
    total_minor = serializers.IntegerField()

    class Meta:
        model = OrderItem
        fields = ("id", "product_id", "title", "license", "net_minor", "tax_minor", "total_minor")


class OrderOutput(serializers.ModelSerializer[Order]):
    order_id = serializers.UUIDField(source="id", help_text="The same as `id`.")
    items = OrderItemOutput(many=True)
    refund = serializers.SerializerMethodField()
    hyperswitch_payment_id = serializers.SerializerMethodField()
    payment_url = serializers.SerializerMethodField()

    class Meta:
        model = Order
        fields: tuple[str, ...] = (
            "id",
            "order_id",
            "status",
            "items",
            "subtotal_minor",
            "tax_minor",
            "total_minor",
            "currency",
            "refund",
            "hyperswitch_payment_id",
            "payment_url",
            "created_at",
            "completed_at",
            "refund_deadline",
        )

    def _payments_of(self, order: Order) -> list[Payment]:
        """The payments of the order, oldest first."""
        payments: dict[UUID, list[Payment]] = self.context["payments"]
        return payments[order.pk]

    def get_refund(self, order: Order) -> str:
        """none, pending, partial or full."""
        refunds = [refund for payment in self._payments_of(order) for refund in payment.refunds.all()]
        if any(refund.status == RefundStatus.PENDING for refund in refunds):
            return "pending"
        allocations = [refund.allocation for refund in refunds if refund.status == RefundStatus.SUCCEEDED]
        amount_minor = refunded_minor(order.items.all(), allocations)
        return "none" if not amount_minor else "full" if amount_minor >= order.total_minor else "partial"

    def get_hyperswitch_payment_id(self, order: Order) -> str | None:
        return next((payment.hyperswitch_payment_id for payment in reversed(self._payments_of(order))), None)

    def get_payment_url(self, order: Order) -> str | None:
        """Where to pay; null when there is nothing to pay, or while the payment provider has not answered yet."""
        if order.status != OrderStatus.PENDING:
            return None
        pending = (payment for payment in self._payments_of(order) if payment.status == PaymentStatus.PENDING)
        return next((payment.payment_url for payment in pending), None)


class PlacedOrderOutput(OrderOutput):
    client_secret = serializers.CharField(
        allow_null=True, help_text="For an embedded payment form. It is never stored: null in a replayed response."
    )

    class Meta:
        model = Order
        fields: tuple[str, ...] = (*OrderOutput.Meta.fields, "client_secret")


def serialize_orders(orders: Sequence[Order]) -> list[dict[str, Any]]:
    """The orders as the API returns them; all their payments are read with one query."""
    payments: dict[UUID, list[Payment]] = {order.pk: [] for order in orders}
    rows = Payment.objects.filter(purpose=Payment.Purpose.ORDER, purpose_id__in=payments)
    for payment in rows.order_by("pk").prefetch_related("refunds"):
        payments[payment.purpose_id].append(payment)
    return list(OrderOutput(orders, many=True, context={"payments": payments}).data)


def placed_response(requested_order: RequestedOrder) -> Response:
    """The response to a placed order: 201, or 202 while it has no payment page yet."""
    order = requested_order.order
    payload = serialize_orders([order])[0] | {"client_secret": requested_order.client_secret or None}
    has_no_page = order.status == OrderStatus.PENDING and payload["payment_url"] is None
    return Response(payload, status=202 if has_no_page else 201)


class OwnOrders(GenericAPIView[Order]):
    """The caller's own orders; an order of another buyer is not found."""

    serializer_class = OrderOutput

    def get_queryset(self) -> QuerySet[Order]:
        if getattr(self, "swagger_fake_view", False):
            return Order.objects.none()
        items = Prefetch("items", OrderItem.objects.select_related("offer").order_by("pk"))
        return Order.objects.filter(buyer=user_id_of(self.request)).prefetch_related(items)


class OrderFilters(filters.FilterSet):  # type: ignore[misc]  # The library is not typed.
    status = filters.ChoiceFilter(
        choices=OrderStatus.choices,
        error_messages={"invalid_choice": f"%(value)r is not one of {', '.join(OrderStatus.values)}."},
    )


class Orders(OwnOrders):
    throttle_classes = (Reading, MovingMoney)
    filter_backends = (AllowedFilters, AllowedOrdering)
    filterset_class = OrderFilters
    ordering_fields = ("created_at", "total_minor")

    @extend_schema(operation_id="list_orders", summary="List your orders, newest first")
    def get(self, request: Request) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(serialize_orders(page or []))

    @extend_schema(
        operation_id="create_order",
        summary="Place an order and get its payment page",
        description="Prices and tax come from the catalogue. 201 with `payment_url`, or 202 without one when the "
        "payment provider has not answered yet: read the order again later.",
        request=OrderInput,
        responses={201: PlacedOrderOutput, 202: PlacedOrderOutput},
        examples=[
            OpenApiExample(
                "One licence",
                {"items": [{"product_id": "0190a000-0000-7000-8000-000000000001", "license": "personal"}]},
                request_only=True,
            )
        ],
    )
    @idempotent
    def post(self, request: Request, *, result_id: UUID) -> Response:
        payload = input_of(request, OrderInput)
        buyer = request.user
        assert isinstance(buyer, User)
        lines = [OrderLine(**item) for item in payload["items"]]
        return placed_response(request_order(order_id=result_id, buyer=buyer, lines=lines, cause=cause_of(request)))


class OneOrder(OwnOrders):
    @extend_schema(operation_id="get_order", summary="Read one of your orders")
    def get(self, request: Request, pk: UUID) -> Response:
        return Response(serialize_orders([self.get_object()])[0])


class RefundInput(Input):
    reason = serializers.CharField(max_length=500)
    items = serializers.ListField(
        child=serializers.UUIDField(),
        required=False,
        allow_empty=False,
        max_length=50,
        help_text="Ids of order items, each once. Omitted: all items.",
    )
    amount_minor = serializers.IntegerField(
        required=False,
        min_value=1,
        max_value=MAX_MINOR,
        help_text="At most what is left to refund of the items. Omitted: all of it.",
    )

    def validate_items(self, items: list[UUID]) -> list[UUID]:
        repeated = sorted({str(item) for item in items if items.count(item) > 1})
        if repeated:
            raise serializers.ValidationError(f"Each item once: {', '.join(repeated)} is repeated.", code="repeated")
        return items


class RefundOutput(serializers.ModelSerializer[Refund]):
    class Meta:
        model = Refund
        fields = ("id", "status", "amount_minor", "currency", "reason", "created_at")


class RefundRequestOutput(serializers.Serializer[Any]):
    refund = RefundOutput()
    message = serializers.CharField()


class OrderRefunds(GenericAPIView[Order]):
    throttle_classes = (Reading, MovingMoney)

    @extend_schema(
        operation_id="refund_order",
        summary="Request a refund of an order",
        description="The buyer may request a refund of the whole order, of some items, or of an amount; a seller of "
        "their own items; staff with the permission of any order. The refund is pending until the payment provider "
        "reports that it succeeded.",
        request=RefundInput,
        responses={202: RefundRequestOutput},
        examples=[
            OpenApiExample("The whole order", {"reason": "The files do not open."}, request_only=True),
            OpenApiExample("An amount", {"reason": "One file is missing.", "amount_minor": 500}, request_only=True),
        ],
    )
    @idempotent
    def post(self, request: Request, pk: UUID, *, result_id: UUID) -> Response:
        payload = input_of(request, RefundInput)
        user = request.user
        assert isinstance(user, User)
        refund_request = RefundRequest(payload["reason"], tuple(payload.get("items", ())), payload.get("amount_minor"))
        cause = cause_of(request, refund_request.reason)
        refund = request_refund(
            refund_id=result_id, order_id=pk, requested_by=user, refund_request=refund_request, cause=cause
        )
        message = "The refund is pending. It is final when the payment provider confirms it."
        return Response({"refund": RefundOutput(refund).data, "message": message}, status=202)
