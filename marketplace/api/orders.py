"""The API of orders: place one, read it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import F, QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from marketplace.allocation import refunded_minor
from marketplace.api.problems import ORDER_PROBLEMS
from marketplace.api.refunds import RefundOutput
from marketplace.messages.unpaid import failure_reason
from marketplace.models import LicenseKind, Order, OrderItem
from marketplace.offer_changes import Expectation
from marketplace.offers import OrderLine
from marketplace.order_payments import RequestedOrder
from marketplace.orders import request_order
from marketplace.refund_listing import refunds_of
from marketplace.states import OrderStatus
from payments.models import Payment
from payments.states import PaymentStatus, RefundStatus
from veza.core.api.filters import AllowedFilters, AllowedOrdering
from veza.core.api.idempotency import idempotent
from veza.core.api.inputs import Input, input_of
from veza.core.api.requests import cause_of, user_id_of
from veza.core.api.throttles import MovingMoney, Reading
from veza.core.models import User
from veza.core.money import MAX_MINOR

# An order's answer has this many of its refunds; the list of its refunds has them all.
REFUNDS_OF_ORDER = 20


class OrderLineInput(Input):
    product_id = serializers.UUIDField()
    license = serializers.ChoiceField(choices=LicenseKind.choices)


class ExpectationInput(Input):
    expected_total_minor = serializers.IntegerField(
        required=False,
        min_value=0,
        max_value=MAX_MINOR,
        help_text="What you expect the whole order to cost, with tax. 409 `offer_changed` when it is another amount.",
    )
    expected_currency = serializers.ChoiceField(
        required=False, choices=settings.CURRENCIES, help_text="The currency in which you expect it."
    )


def expectation_of(payload: Mapping[str, Any]) -> Expectation:
    """What the buyer expects of the order, by a validated body."""
    return Expectation(payload.get("expected_total_minor"), payload.get("expected_currency"))


class OrderedLineInput(OrderLineInput):
    expected_price_minor = serializers.IntegerField(
        required=False,
        min_value=0,
        max_value=MAX_MINOR,
        help_text="The offer's `price_minor` as you know it, before tax. 409 `offer_changed` when it is another one.",
    )
    expected_total_minor = serializers.IntegerField(
        required=False,
        min_value=0,
        max_value=MAX_MINOR,
        help_text="The offer's `total_minor` as you know it, with tax. 409 `offer_changed` when it is another one.",
    )


class OrderInput(ExpectationInput):
    items = OrderedLineInput(many=True, allow_empty=False, max_length=50)  # type: ignore[call-arg]  # ListSerializer has it.


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
    refund = serializers.CharField(
        read_only=True,
        help_text="pending, partial or full; failed or returned if the newest one did not reach the buyer and no other "
        "one did; else none.",
    )
    hyperswitch_payment_id = serializers.CharField(read_only=True, allow_null=True)
    payment_url = serializers.CharField(
        read_only=True,
        allow_null=True,
        help_text="Where to pay; null when there is nothing to pay, or while the payment provider has not answered "
        "yet.",
    )
    failure_reason = serializers.CharField(
        read_only=True, allow_null=True, help_text="Why an order ended unpaid, in a sentence; otherwise null."
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
            "failure_reason",
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


class OneOrderOutput(OrderOutput):
    refunds = RefundOutput(
        many=True, help_text=f"The newest {REFUNDS_OF_ORDER} of its refunds and refund requests, newest first."
    )

    class Meta:
        model = Order
        fields: tuple[str, ...] = (*OrderOutput.Meta.fields, "refunds")


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
    columns = ("purpose_id", "status", "hyperswitch_payment_id", "payment_url", "error_code", "applied_at")
    return payments.values_list(*columns, "refunds__pk", "refunds__status", "refunds__allocation", named=True)


def _serialize_order(order: Order, items: Sequence[Any], payments: Sequence[Any]) -> dict[str, Any]:
    # The one whose money the order has, else the last.
    payment = next((row for row in payments if row.applied_at is not None), payments[-1] if payments else None)
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
        "refund": _refund_of(order, items, [row for row in payments if row.applied_at is not None]),
        "hyperswitch_payment_id": payment.hyperswitch_payment_id if payment is not None else None,
        "payment_url": _payment_url_of(order, payments),
        "failure_reason": failure_reason(order.status, payment.error_code if payment is not None else ""),
        "created_at": order.created_at,
        "completed_at": order.completed_at,
        "refund_deadline": order.refund_deadline,
    }


def _refund_of(order: Order, items: Sequence[Any], payments: Sequence[Any]) -> str:
    """none, pending, partial or full; failed or returned when nothing went back and the newest refund ended so."""
    if any(row.refunds__status == RefundStatus.PENDING for row in payments):
        return "pending"
    allocations = [row.refunds__allocation for row in payments if row.refunds__status == RefundStatus.SUCCEEDED]
    amount_minor = refunded_minor(items, allocations)
    if amount_minor:
        return "full" if amount_minor >= order.total_minor else "partial"
    newest = max((row for row in payments if row.refunds__pk), key=lambda row: row.refunds__pk, default=None)
    return "none" if newest is None else _UNDONE.get(newest.refunds__status, "none")


# How a refund ends that leaves the buyer without the money.
_UNDONE = {RefundStatus.FAILED: "failed", RefundStatus.BOUNCED: "returned"}


def _payment_url_of(order: Order, payments: Sequence[Any]) -> str | None:
    if order.status != OrderStatus.PENDING:
        return None
    return next((row.payment_url for row in payments if row.status == PaymentStatus.PENDING), None)


def placed_response(requested_order: RequestedOrder) -> Response:
    """The response to a placed order: 201, or 202 while it has no payment page yet."""
    order, payload = requested_order.order, with_secret(requested_order)
    has_no_page = order.status == OrderStatus.PENDING and payload["payment_url"] is None
    return Response(payload, status=202 if has_no_page else 201)


def with_secret(requested_order: RequestedOrder) -> dict[str, Any]:
    """The order as the API returns it, with the secret for paying it."""
    return serialize_orders([requested_order.order])[0] | {"client_secret": requested_order.client_secret or None}


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
        description="Prices and tax come from the catalogue. Say what you showed (`expected_price_minor` before tax, "
        "`expected_total_minor` with tax), and the order is at that, or refused. 201 with `payment_url`, or 202 "
        "without one when the payment provider has not answered yet: read the order again later.",
        request=OrderInput,
        responses={201: PlacedOrderOutput, 202: PlacedOrderOutput, **ORDER_PROBLEMS},
        examples=[
            OpenApiExample(
                "One licence",
                {"items": [{"product_id": "0190a000-0000-7000-8000-000000000001", "license": "personal"}]},
                request_only=True,
            ),
            OpenApiExample(
                "At the price that was shown",
                {
                    "items": [
                        {
                            "product_id": "0190a000-0000-7000-8000-000000000001",
                            "license": "personal",
                            "expected_price_minor": 900,
                        }
                    ],
                    "expected_total_minor": 1080,
                },
                request_only=True,
            ),
        ],
    )
    @idempotent
    def post(self, request: Request, *, result_id: UUID) -> Response:
        payload = input_of(request, OrderInput)
        buyer = request.user
        assert isinstance(buyer, User)
        lines = [OrderLine(**item) for item in payload["items"]]
        requested_order = request_order(
            order_id=result_id,
            buyer=buyer,
            lines=lines,
            expectation=expectation_of(payload),
            cause=cause_of(request),
        )
        return placed_response(requested_order)


class OneOrder(OwnOrders):
    serializer_class = OneOrderOutput

    @extend_schema(operation_id="get_order", summary="Read one of your orders, with its refunds")
    def get(self, request: Request, pk: UUID) -> Response:
        buyer = request.user
        assert isinstance(buyer, User)
        payload = serialize_orders([self.get_object()])[0]
        refunds = refunds_of(pk, reader=buyer, most=REFUNDS_OF_ORDER)
        return Response(payload | {"refunds": RefundOutput(refunds, many=True).data})
