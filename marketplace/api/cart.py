"""The API of the cart."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from marketplace import cart
from marketplace.api.orders import OrderLineInput, PlacedOrderOutput, placed_response
from marketplace.availability import existing_licenses
from marketplace.models import CartItem, LicenseKind
from marketplace.orders import OrderLine
from veza.core.api.idempotency import idempotent
from veza.core.api.inputs import NoInput, input_of
from veza.core.api.requests import cause_of, user_id_of
from veza.core.api.throttles import MovingMoney, Reading
from veza.core.models import User


class CartItemOutput(serializers.ModelSerializer[CartItem]):
    product_id = serializers.UUIDField(source="offer.product_id")
    title = serializers.CharField(source="offer.product.title")
    license = serializers.CharField(source="offer.license")
    price_minor = serializers.IntegerField(source="offer.price_minor")
    currency = serializers.CharField(source="offer.currency")
    existing_licenses = serializers.SerializerMethodField(
        help_text="Of an exclusive licence: how many licences of the work others hold, by kind. They stay."
    )

    class Meta:
        model = CartItem
        fields = ("id", "product_id", "title", "license", "price_minor", "currency", "existing_licenses", "created_at")

    def get_existing_licenses(self, item: CartItem) -> dict[str, int]:
        if item.offer.license != LicenseKind.EXCLUSIVE:
            return {}
        return dict(self.context["existing_licenses"].get(item.offer.product_id, {}))


def serialize_items(items: Sequence[CartItem]) -> list[dict[str, Any]]:
    """The items as the API returns them, with what is held of the works of exclusive ones."""
    works = [item.offer.product_id for item in items if item.offer.license == LicenseKind.EXCLUSIVE]
    context = {"existing_licenses": existing_licenses(works) if works else {}}
    return [dict(one) for one in CartItemOutput(items, many=True, context=context).data]


class OwnCart(GenericAPIView[CartItem]):
    serializer_class = CartItemOutput

    def get_queryset(self) -> QuerySet[CartItem]:
        if getattr(self, "swagger_fake_view", False):
            return CartItem.objects.none()
        return CartItem.objects.filter(owner=self.owner().pk).select_related("offer__product").order_by("pk")

    def owner(self) -> User:
        user = self.request.user
        assert isinstance(user, User), user_id_of(self.request)
        return user


class Cart(OwnCart):
    pagination_class = None  # A cart holds at most fifty items.

    @extend_schema(operation_id="get_cart", summary="List the items of your cart", responses=CartItemOutput(many=True))
    def get(self, request: Request) -> Response:
        return Response(serialize_items(list(self.get_queryset())))

    @extend_schema(
        operation_id="add_cart_item", summary="Add a licence", request=OrderLineInput, responses={201: CartItemOutput}
    )
    def post(self, request: Request) -> Response:
        payload = input_of(request, OrderLineInput)
        item = cart.add_item(owner=self.owner(), line=OrderLine(**payload))
        return Response(serialize_items([item])[0], status=201)

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
        description="The same answer as placing an order. The cart is empty afterwards.",
        request=None,
        responses={201: PlacedOrderOutput, 202: PlacedOrderOutput},
    )
    @idempotent
    def post(self, request: Request, *, result_id: UUID) -> Response:
        input_of(request, NoInput)
        return placed_response(cart.check_out(order_id=result_id, owner=self.owner(), cause=cause_of(request)))
