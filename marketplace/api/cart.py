"""The API of the cart."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from marketplace import cart
from marketplace.api.orders import ExpectationInput, OrderLineInput, PlacedOrderOutput, expectation_of, placed_response
from marketplace.api.problems import CHECKOUT_PROBLEMS
from marketplace.availability import existing_licenses
from marketplace.cart import CartLine
from marketplace.cart_lines import MOST_ITEMS
from marketplace.models import CartItem, LicenseKind
from marketplace.offers import OrderLine
from veza.core.api.idempotency import idempotent
from veza.core.api.inputs import NoInput, input_of
from veza.core.api.requests import cause_of, user_id_of
from veza.core.api.throttles import MovingMoney, Reading
from veza.core.models import User


class CartItemOutput(serializers.ModelSerializer[CartItem]):
    """A line on the terms that the buyer was shown. They are what an order of it costs, or it is refused."""

    product_id = serializers.UUIDField()
    title = serializers.CharField()
    license = serializers.CharField()
    price_minor = serializers.IntegerField(help_text="The price before tax.")
    total_minor = serializers.IntegerField(help_text="What you pay: the price with tax.")
    rights = serializers.DictField()
    available = serializers.BooleanField(help_text="False: it cannot be ordered any more, and `why` says why.")
    why = serializers.CharField(allow_null=True)
    existing_licenses = serializers.DictField(
        child=serializers.IntegerField(),
        help_text="Of an exclusive licence: how many licences of the work others hold, by kind. They stay.",
    )

    class Meta:
        model = CartItem
        fields = (
            "id",
            "product_id",
            "title",
            "license",
            "price_minor",
            "tax_minor",
            "total_minor",
            "currency",
            "rights",
            "available",
            "why",
            "existing_licenses",
            "created_at",
        )


class CartSumOutput(serializers.Serializer[Any]):
    currency = serializers.CharField()
    subtotal_minor = serializers.IntegerField()
    tax_minor = serializers.IntegerField()
    total_minor = serializers.IntegerField()


class CartOutput(serializers.Serializer[Any]):
    items = CartItemOutput(many=True)
    sums = CartSumOutput(many=True, help_text="Of the items that are available, for each currency.")


class CheckoutInput(ExpectationInput):
    leave_out = serializers.ListField(
        child=serializers.UUIDField(),
        required=False,
        allow_empty=False,
        max_length=MOST_ITEMS,
        help_text="Ids of cart items that are not ordered and stay in the cart.",
    )


def _existing_licenses(lines: Sequence[CartLine]) -> Mapping[UUID, Mapping[str, int]]:
    works = [line.offer.product_id for line in lines if line.offer.license == LicenseKind.EXCLUSIVE]
    return existing_licenses(works) if works else {}


def _line(line: CartLine, existing: Mapping[UUID, Mapping[str, int]]) -> dict[str, Any]:
    item, offer = line.item, line.offer
    is_exclusive = offer.license == LicenseKind.EXCLUSIVE
    return {
        "id": item.pk,
        "product_id": offer.product_id,
        "title": offer.product.title,
        "license": offer.license,
        "price_minor": item.price_minor,
        "tax_minor": item.tax_minor,
        "total_minor": item.total_minor,
        "currency": item.currency,
        "rights": item.rights,
        "available": line.refusal is None,
        "why": line.why,
        "existing_licenses": existing.get(offer.product_id, {}) if is_exclusive else {},
        "created_at": item.created_at,
    }


def _cart(lines: Sequence[CartLine]) -> dict[str, Any]:
    available = [line.item for line in lines if line.refusal is None]
    sums = []
    for currency in dict.fromkeys(item.currency for item in available):
        items = [item for item in available if item.currency == currency]
        subtotal, tax = sum(item.price_minor for item in items), sum(item.tax_minor for item in items)
        sums.append({"currency": currency, "subtotal_minor": subtotal, "tax_minor": tax, "total_minor": subtotal + tax})
    existing = _existing_licenses(lines)
    return {"items": [_line(line, existing) for line in lines], "sums": sums}


class OwnCart(GenericAPIView[CartItem]):
    serializer_class = CartOutput

    def owner(self) -> User:
        user = self.request.user
        assert isinstance(user, User), user_id_of(self.request)
        return user


class Cart(OwnCart):
    pagination_class = None  # A cart holds at most fifty items.

    @extend_schema(operation_id="get_cart", summary="Read your cart, with tax", responses=CartOutput)
    def get(self, request: Request) -> Response:
        return Response(_cart(cart.lines_of(self.owner())))

    @extend_schema(
        operation_id="add_cart_item",
        summary="Add a licence",
        description="The answer has the price, tax and rights of now: the cart keeps them. Adding what it holds brings "
        "them up to date.",
        request=OrderLineInput,
        responses={201: CartItemOutput},
    )
    def post(self, request: Request) -> Response:
        payload = input_of(request, OrderLineInput)
        line = cart.add_item(owner=self.owner(), line=OrderLine(**payload))
        return Response(_line(line, _existing_licenses([line])), status=201)

    @extend_schema(operation_id="clear_cart", summary="Remove all items", responses={204: None})
    def delete(self, request: Request) -> Response:
        input_of(request, NoInput)
        cart.empty(owner=self.owner())
        return Response(status=204)


class OneCartItem(OwnCart):
    @extend_schema(operation_id="delete_cart_item", summary="Remove one item", responses={204: None})
    def delete(self, request: Request, pk: UUID) -> Response:
        input_of(request, NoInput)
        cart.remove_item(owner=self.owner(), item_id=pk)
        return Response(status=204)


class CartCheckout(OwnCart):
    throttle_classes = (Reading, MovingMoney)

    @extend_schema(
        operation_id="check_out_cart",
        summary="Order the items of your cart",
        description="The same answer as placing an order. What is ordered leaves the cart. An item that has changed "
        "since it was shown is a 409 `offer_changed` with both terms: nothing is ordered, the cart has the new terms, "
        "and the next checkout agrees to them. One that is not available is a 409 `items_unavailable`: leave it out.",
        request=CheckoutInput,
        responses={201: PlacedOrderOutput, 202: PlacedOrderOutput, **CHECKOUT_PROBLEMS},
    )
    @idempotent
    def post(self, request: Request, *, result_id: UUID) -> Response:
        payload = input_of(request, CheckoutInput)
        requested_order = cart.check_out(
            order_id=result_id,
            owner=self.owner(),
            leave_out=payload.get("leave_out", ()),
            expectation=expectation_of(payload),
            cause=cause_of(request),
        )
        return placed_response(requested_order)
