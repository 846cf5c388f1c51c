"""The API of an unpaid order: get the page on which it can be paid, or cancel it."""

from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from marketplace.api.orders import OrderOutput, OwnOrders, PlacedOrderOutput, serialize_orders, with_secret
from marketplace.order_payments import RequestedOrder, cancel_order, request_payment
from marketplace.states import OrderStatus
from veza.core.api.idempotency import idempotent
from veza.core.api.inputs import NoInput, input_of
from veza.core.api.requests import cause_of
from veza.core.api.throttles import MovingMoney, Reading


class OrderPayment(OwnOrders):
    throttle_classes = (Reading, MovingMoney)

    @extend_schema(
        operation_id="pay_order",
        summary="Get the page on which an unpaid order can be paid",
        description="200 with `payment_url` and `client_secret` of the open page of a pending order. For one that "
        "failed or expired, 201 with those of a new payment, at the order's own price, while every item is for sale. "
        "202 while the payment provider has not answered: ask again. 409 `order_not_payable` when it cannot be paid, "
        "and `payment_under_way` while a payment is in progress.",
        request=None,
        responses={200: PlacedOrderOutput, 201: PlacedOrderOutput, 202: PlacedOrderOutput},
    )
    @idempotent
    def post(self, request: Request, pk: UUID, *, result_id: UUID) -> Response:
        input_of(request, NoInput)
        order = self.get_object()
        return _response_with_page(request_payment(order_id=order.pk, payment_id=result_id, cause=cause_of(request)))


class OrderCancellation(OwnOrders):
    throttle_classes = (Reading, MovingMoney)

    @extend_schema(
        operation_id="cancel_order",
        summary="Cancel an unpaid order",
        description="Its payment page is closed. 202 while the payment provider has not confirmed that: it goes on by "
        "itself. 409 `order_not_cancellable` for an order that is paid or has ended, and `payment_under_way` while a "
        "payment is in progress.",
        request=None,
        responses={200: OrderOutput, 202: OrderOutput},
    )
    def post(self, request: Request, pk: UUID) -> Response:
        input_of(request, NoInput)
        order = cancel_order(order_id=self.get_object().pk, cause=cause_of(request))
        return Response(serialize_orders([order])[0], status=202 if order.status == OrderStatus.PENDING else 200)


def _response_with_page(requested_order: RequestedOrder) -> Response:
    """The response with an order's page: 201 for that of a new payment, 200 for the open one, 202 while Hyperswitch has
    not answered.
    """
    payload = with_secret(requested_order)
    is_unanswered = requested_order.order.status == OrderStatus.PENDING and not requested_order.client_secret
    return Response(payload, status=202 if is_unanswered else 201 if requested_order.is_new_payment else 200)
