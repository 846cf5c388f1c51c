"""The doors of orders: place one, look at it, ask for the money back."""

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
from veza.core.api.requests import cause_of, user_id_of
from veza.core.api.throttles import MovingMoney, Reading
from veza.core.models import User
from veza.core.money import MAX_MINOR


class WishInput(serializers.Serializer[Any]):
    product_id = serializers.UUIDField()
    license = serializers.ChoiceField(choices=LicenseKind.choices)


class OrderInput(serializers.Serializer[Any]):
    items = WishInput(many=True, allow_empty=False, max_length=50)  # type: ignore[call-arg]  # ListSerializer has it.


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

    def _tried(self, order: Order) -> list[Payment]:
        """The payments tried for the order, oldest first."""
        tried: dict[UUID, list[Payment]] = self.context["tried"]
        return tried[order.pk]

    def get_refund(self, order: Order) -> str:
        """none, pending, partial or full."""
        refunds = [refund for payment in self._tried(order) for refund in payment.refunds.all()]
        if any(refund.status == RefundStatus.PENDING for refund in refunds):
            return "pending"
        done = [refund.allocation for refund in refunds if refund.status == RefundStatus.SUCCEEDED]
        given = refunded_minor(order.items.all(), done)
        return "none" if not given else "full" if given >= order.total_minor else "partial"

    def get_hyperswitch_payment_id(self, order: Order) -> str | None:
        return next((payment.hyperswitch_payment_id for payment in reversed(self._tried(order))), None)

    def get_payment_url(self, order: Order) -> str | None:
        """Where to pay; null once there is nothing to pay, or while the provider has not answered yet."""
        if order.status != OrderStatus.PENDING:
            return None
        waiting = (payment for payment in self._tried(order) if payment.status == PaymentStatus.PENDING)
        return next((payment.payment_url for payment in waiting), None)


class PlacedOrderOutput(OrderOutput):
    client_secret = serializers.CharField(
        allow_null=True, help_text="For an embedded payment form; never stored, so a replayed answer has none."
    )

    class Meta:
        model = Order
        fields: tuple[str, ...] = (*OrderOutput.Meta.fields, "client_secret")


def shown(orders: Sequence[Order]) -> list[dict[str, Any]]:
    """The orders as the API writes them, their payments read all at once."""
    tried: dict[UUID, list[Payment]] = {order.pk: [] for order in orders}
    found = Payment.objects.filter(purpose=Payment.Purpose.ORDER, purpose_id__in=tried)
    for payment in found.order_by("pk").prefetch_related("refunds"):
        tried[payment.purpose_id].append(payment)
    return list(OrderOutput(orders, many=True, context={"tried": tried}).data)


def placed(made: RequestedOrder) -> Response:
    """The answer to an order: 201, or 202 while the payment page is not known yet."""
    answer = shown([made.order])[0] | {"client_secret": made.client_secret or None}
    unanswered = made.order.status == OrderStatus.PENDING and answer["payment_url"] is None
    return Response(answer, status=202 if unanswered else 201)


class OwnOrders(GenericAPIView[Order]):
    """Only the caller's own orders: another person's does not exist here."""

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
        return self.get_paginated_response(shown(page or []))

    @extend_schema(
        operation_id="create_order",
        summary="Order licences and get the page where to pay",
        description="Prices and tax come from the catalogue. 201 with `payment_url`, or 202 without one when the "
        "payment provider has not answered yet: read the order again a little later.",
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
        params = OrderInput(data=request.data)
        params.is_valid(raise_exception=True)
        buyer = request.user
        assert isinstance(buyer, User)
        lines = [OrderLine(**item) for item in params.validated_data["items"]]
        return placed(request_order(order_id=result_id, buyer=buyer, lines=lines, cause=cause_of(request)))


class OneOrder(OwnOrders):
    @extend_schema(operation_id="get_order", summary="Read one of your orders")
    def get(self, request: Request, pk: UUID) -> Response:
        return Response(shown([self.get_object()])[0])


class RefundInput(serializers.Serializer[Any]):
    reason = serializers.CharField(max_length=500)
    items = serializers.ListField(
        child=serializers.UUIDField(), required=False, max_length=50, help_text="Ids of order items; all when left out."
    )
    amount_minor = serializers.IntegerField(
        required=False, min_value=1, max_value=MAX_MINOR, help_text="Less than what is left of the items."
    )


class RefundOutput(serializers.ModelSerializer[Refund]):
    class Meta:
        model = Refund
        fields = ("id", "status", "amount_minor", "currency", "reason", "created_at")


class RefundRequested(serializers.Serializer[Any]):
    refund = RefundOutput()
    message = serializers.CharField()


class OrderRefunds(GenericAPIView[Order]):
    throttle_classes = (Reading, MovingMoney)

    @extend_schema(
        operation_id="refund_order",
        summary="Ask for the money of an order back",
        description="The buyer may ask for everything, for some items, or for a part; a seller for their own items; "
        "staff for anybody, with the permission to. The refund is pending until the payment provider reports that it "
        "succeeded.",
        request=RefundInput,
        responses={202: RefundRequested},
        examples=[
            OpenApiExample("Everything", {"reason": "The files do not open."}, request_only=True),
            OpenApiExample("A part", {"reason": "One file is missing.", "amount_minor": 500}, request_only=True),
        ],
    )
    @idempotent
    def post(self, request: Request, pk: UUID, *, result_id: UUID) -> Response:
        params = RefundInput(data=request.data)
        params.is_valid(raise_exception=True)
        person, payload = request.user, params.validated_data
        assert isinstance(person, User)
        refund_request = RefundRequest(payload["reason"], tuple(payload.get("items", ())), payload.get("amount_minor"))
        cause = cause_of(request, refund_request.reason)
        refund = request_refund(
            refund_id=result_id, order_id=pk, asked_by=person, refund_request=refund_request, cause=cause
        )
        message = "The refund is on its way. It is final when your bank confirms it."
        return Response({"refund": RefundOutput(refund).data, "message": message}, status=202)
