"""The API of orders: place one, read it, request a refund."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from django.db.models import F, QuerySet
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
    existing_licenses = serializers.DictField(
        source="held_before",
        child=serializers.IntegerField(),
        help_text="Of an exclusive licence: how many licences of the work others held when it was ordered. They stay.",
    )

    class Meta:
        model = OrderItem
        fields = (
            "id",
            "product_id",
            "title",
            "license",
            "net_minor",
            "tax_minor",
            "total_minor",
            "existing_licenses",
        )


# Documents what `serialize_orders` builds; a serializer that also built it would cost four times as much.
class OrderOutput(serializers.ModelSerializer[Order]):
    order_id = serializers.UUIDField(source="id", help_text="The same as `id`.")
    items = OrderItemOutput(many=True)
    refund = serializers.CharField(read_only=True, help_text="none, pending, partial or full.")
    hyperswitch_payment_id = serializers.CharField(read_only=True, allow_null=True)
    payment_url = serializers.CharField(
        read_only=True,
        allow_null=True,
        help_text="Where to pay; null when there is nothing to pay, or while the payment provider has not answered "
        "yet.",
    )

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


class PlacedOrderOutput(OrderOutput):
    client_secret = serializers.CharField(
        allow_null=True, help_text="For an embedded payment form. It is never stored: null in a replayed response."
    )

    class Meta:
        model = Order
        fields: tuple[str, ...] = (*OrderOutput.Meta.fields, "client_secret")


def serialize_orders(orders: Sequence[Order]) -> list[dict[str, Any]]:
    """The orders as the API returns them, for two queries however many they are: their items, and their payments
    with what was refunded.
    """
    keys = [order.pk for order in orders]
    items: dict[UUID, list[Any]] = {key: [] for key in keys}
    for item in _items_of(keys):
        items[item.order_id].append(item)
    payments: dict[UUID, list[Any]] = {key: [] for key in keys}
    for payment in _payments_of(keys):
        payments[payment.purpose_id].append(payment)
    return [_serialize_order(order, items[order.pk], payments[order.pk]) for order in orders]


def _items_of(order_ids: Sequence[UUID]) -> Iterable[Any]:
    items = OrderItem.objects.filter(order__in=order_ids).order_by("pk")
    columns = (
        "order_id",
        "pk",
        "offer__product_id",
        "title",
        "license",
        "net_minor",
        "tax_minor",
        "withheld",
        "held_before",
    )
    total: Any = {"total_minor": F("net_minor") + F("tax_minor")}
    return items.annotate(**total).values_list(*columns, *total, named=True)


def _payments_of(order_ids: Sequence[UUID]) -> Iterable[Any]:
    """A row for each refund of a payment, or one for a payment without; the oldest payment first."""
    payments = Payment.objects.filter(purpose=Payment.Purpose.ORDER, purpose_id__in=order_ids).order_by("pk")
    columns = ("purpose_id", "status", "hyperswitch_payment_id", "payment_url")
    return payments.values_list(*columns, "refunds__status", "refunds__allocation", named=True)


def _serialize_order(order: Order, items: Sequence[Any], payments: Sequence[Any]) -> dict[str, Any]:
    return {
        "id": order.pk,
        "order_id": order.pk,
        "status": order.status,
        "items": [
            {
                "id": item.pk,
                "product_id": item.offer__product_id,
                "title": item.title,
                "license": item.license,
                "net_minor": item.net_minor,
                "tax_minor": item.tax_minor,
                "total_minor": item.total_minor,
                "existing_licenses": item.held_before,
            }
            for item in items
        ],
        "subtotal_minor": order.subtotal_minor,
        "tax_minor": order.tax_minor,
        "total_minor": order.total_minor,
        "currency": order.currency,
        "refund": _refund_of(order, items, payments),
        "hyperswitch_payment_id": payments[-1].hyperswitch_payment_id if payments else None,
        "payment_url": _payment_url_of(order, payments),
        "created_at": order.created_at,
        "completed_at": order.completed_at,
        "refund_deadline": order.refund_deadline,
    }


def _refund_of(order: Order, items: Sequence[Any], payments: Sequence[Any]) -> str:
    """none, pending, partial or full."""
    if any(row.refunds__status == RefundStatus.PENDING for row in payments):
        return "pending"
    allocations = [row.refunds__allocation for row in payments if row.refunds__status == RefundStatus.SUCCEEDED]
    amount_minor = refunded_minor(items, allocations)
    return "none" if not amount_minor else "full" if amount_minor >= order.total_minor else "partial"


def _payment_url_of(order: Order, payments: Sequence[Any]) -> str | None:
    if order.status != OrderStatus.PENDING:
        return None
    return next((row.payment_url for row in payments if row.status == PaymentStatus.PENDING), None)


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
        return Order.objects.filter(buyer=user_id_of(self.request))


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
