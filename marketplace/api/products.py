"""The catalogue: public to read; sellers list and change their own products."""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Exists, OuterRef, Prefetch, QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.generics import GenericAPIView
from rest_framework.permissions import IsAuthenticatedOrReadOnly
from rest_framework.request import Request
from rest_framework.response import Response

from marketplace.catalogue import change_product, list_product
from marketplace.models import LicenseKind, LicenseOffer, Product
from veza.core.api.filters import AllowedFilters, AllowedOrdering
from veza.core.api.idempotency import idempotent
from veza.core.api.inputs import Input, input_of
from veza.core.models import User

MOST_MINOR = 100_000_000
LICENSES = ", ".join(LicenseKind.values)
OFFERS_FOR_SALE = LicenseOffer.objects.filter(active=True)
# What a page shows: never the seller's other columns.
SHOWN = ("id", "title", "description", "seller_id", "seller__name", "created_at")


class OfferOutput(serializers.ModelSerializer[LicenseOffer]):
    tax_minor = serializers.IntegerField(help_text="The tax on top.")
    total_minor = serializers.IntegerField(help_text="What a buyer pays: the price with tax.")

    class Meta:
        model = LicenseOffer
        fields = ("license", "price_minor", "tax_minor", "total_minor", "currency", "tax_basis_points", "rights")
        extra_kwargs = {"price_minor": {"help_text": "The price before tax."}}


class ProductOutput(serializers.ModelSerializer[Product]):
    seller = serializers.CharField(source="seller.name")
    seller_id = serializers.UUIDField()
    offers = OfferOutput(many=True)

    class Meta:
        model = Product
        fields = ("id", "title", "description", "seller", "seller_id", "offers", "created_at")


class OfferInput(Input):
    license = serializers.ChoiceField(choices=LicenseKind.choices)
    price_minor = serializers.IntegerField(min_value=0, max_value=MOST_MINOR)
    currency = serializers.ChoiceField(choices=settings.CURRENCIES)
    tax_basis_points = serializers.IntegerField(min_value=0, max_value=10_000, default=0)
    rights = serializers.DictField(default=dict)


class ProductInput(Input):
    title = serializers.CharField(max_length=120)
    description = serializers.CharField(max_length=5_000, allow_blank=True, default="")
    offers = OfferInput(many=True, allow_empty=False, max_length=3)  # type: ignore[call-arg]  # ListSerializer has it.


class ProductChanges(Input):
    title = serializers.CharField(max_length=120, required=False)
    description = serializers.CharField(max_length=5_000, allow_blank=True, required=False)
    published = serializers.BooleanField(required=False)
    offers = OfferInput(many=True, required=False, max_length=3)  # type: ignore[call-arg]  # ListSerializer has it.


class ProductFilters(filters.FilterSet):  # type: ignore[misc]  # The library is not typed.
    """Products by their seller, and by an offer for sale that matches all that is asked of it."""

    seller = filters.UUIDFilter(field_name="seller_id")
    license = filters.ChoiceFilter(
        choices=LicenseKind.choices,
        error_messages={"invalid_choice": f"%(value)r is not one of {LICENSES}."},
        method="match_later",
    )
    max_price_minor = filters.NumberFilter(max_digits=15, method="match_later")

    def match_later(self, queryset: QuerySet[Product], _name: str, _value: object) -> QuerySet[Product]:
        """What is asked of an offer is asked of one offer: `filter_queryset` puts it together."""
        return queryset

    def filter_queryset(self, queryset: QuerySet[Product]) -> QuerySet[Product]:
        matching: QuerySet[Product] = super().filter_queryset(queryset)
        params = self.form.cleaned_data
        most_minor = params["max_price_minor"]
        if not params["license"] and most_minor is None:
            return matching
        # Named even when all will do: the index begins with the licence.
        offers = OFFERS_FOR_SALE.filter(license__in=[params["license"]] if params["license"] else LicenseKind.values)
        if most_minor is not None:
            offers = offers.filter(price_minor__lte=most_minor)
        return matching.filter(Exists(offers.filter(product=OuterRef("pk"))))


def with_what_is_shown(products: QuerySet[Product]) -> QuerySet[Product]:
    """The products with their seller's name and their offers for sale, the cheapest first."""
    offers = Prefetch("offers", OFFERS_FOR_SALE.order_by("price_minor"))
    return products.select_related("seller").only(*SHOWN).prefetch_related(offers)


class Catalogue(GenericAPIView[Product]):
    permission_classes = (IsAuthenticatedOrReadOnly,)
    serializer_class = ProductOutput
    queryset = with_what_is_shown(Product.objects.for_sale())

    def seller(self) -> User:
        user = self.request.user
        assert isinstance(user, User)
        return user

    def serialize(self, product: Product) -> dict[str, Any]:
        """The caller's own product, even one that is not on sale."""
        row = with_what_is_shown(Product.objects.all()).get(pk=product.pk)
        return dict(ProductOutput(row).data)


class Products(Catalogue):
    filter_backends = (AllowedFilters, AllowedOrdering)
    filterset_class = ProductFilters
    ordering_fields = ("created_at", "title")

    @extend_schema(operation_id="list_products", summary="List products, newest first")
    def get(self, request: Request) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(ProductOutput(page or [], many=True).data)

    @extend_schema(
        operation_id="create_product",
        summary="List a product for sale",
        request=ProductInput,
        responses={201: ProductOutput},
        examples=[
            OpenApiExample(
                "A font",
                {
                    "title": "Grotesk Nine",
                    "offers": [{"license": "personal", "price_minor": 900, "currency": "EUR"}],
                },
                request_only=True,
            )
        ],
    )
    @idempotent
    def post(self, request: Request, *, result_id: UUID) -> Response:
        payload = input_of(request, ProductInput)
        product = list_product(product_id=result_id, seller=self.seller(), **payload)
        return Response(self.serialize(product), status=201)


class OneProduct(Catalogue):
    @extend_schema(operation_id="get_product", summary="Read one product")
    def get(self, request: Request, pk: UUID) -> Response:
        return Response(ProductOutput(self.get_object()).data)

    @extend_schema(
        operation_id="update_product",
        summary="Change a product of your own",
        description="Omitted fields keep their value. Orders keep the price and rights that they were placed with.",
        request=ProductChanges,
        responses=ProductOutput,
        examples=[OpenApiExample("Take it off sale", {"published": False}, request_only=True)],
    )
    def patch(self, request: Request, pk: UUID) -> Response:
        payload = input_of(request, ProductChanges)
        changes = {name: value for name, value in payload.items() if name != "offers"}
        offers = payload.get("offers", [])
        product = change_product(product_id=pk, seller=self.seller(), changes=changes, offers=offers)
        return Response(self.serialize(product))
