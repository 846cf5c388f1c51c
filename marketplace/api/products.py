"""The catalogue: public to read; sellers list and change their own products."""

from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef, Prefetch, QuerySet
from django.utils import timezone
from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.generics import GenericAPIView
from rest_framework.permissions import IsAuthenticatedOrReadOnly
from rest_framework.request import Request
from rest_framework.response import Response

from marketplace.api.works import LONGEST_TITLE, ProductChanges, ProductInput, is_printable
from marketplace.availability import (
    Reason,
    existing_licenses,
    price_obstacle,
    products_for_sale,
    reasons_against,
)
from marketplace.catalogue import change_product, list_product
from marketplace.models import LicenseKind, LicenseOffer, Product
from veza.core.api.filters import AllowedFilters, AllowedOrdering
from veza.core.api.idempotency import idempotent
from veza.core.api.inputs import input_of
from veza.core.api.pages import NewestFirst
from veza.core.errors import NotFound
from veza.core.models import User

# What a list shows of a description and of a seller's name, in characters.
EXCERPT, LISTED_NAME = 120, 60
LICENSES = ", ".join(LicenseKind.values)
OFFERS_FOR_SALE = LicenseOffer.objects.filter(active=True)
# What a page shows: never the seller's other columns.
SHOWN = ("id", "title", "description", "seller_id", "seller__name", "created_at")


class ListedOfferOutput(serializers.ModelSerializer[LicenseOffer]):
    """An offer in a list. Its rights are shown with the one product, so that a page stays small."""

    available = serializers.SerializerMethodField(help_text="Whether it can be ordered now.")
    why = serializers.SerializerMethodField(help_text="Why it cannot be ordered; empty if it can.")
    tax_minor = serializers.IntegerField(help_text="The tax on top.")
    total_minor = serializers.IntegerField(help_text="What a buyer pays: the price with tax.")

    class Meta:
        model = LicenseOffer
        fields: tuple[str, ...] = (
            "license",
            "price_minor",
            "tax_minor",
            "total_minor",
            "currency",
            "tax_basis_points",
            "available",
            "why",
        )
        extra_kwargs = {"price_minor": {"help_text": "The price before tax."}}

    def get_available(self, offer: LicenseOffer) -> bool:
        return self._reason(offer) is None

    def get_why(self, offer: LicenseOffer) -> str:
        reason = self._reason(offer)
        return reason.words(is_own=self.context.get("is_own", False)) if reason else ""

    def _reason(self, offer: LicenseOffer) -> Reason | None:
        """The reason that was looked up; in a list of works for sale, only the price is left to judge."""
        if "reasons" in self.context:
            return self.context["reasons"].get(offer.pk)  # type: ignore[no-any-return]  # A context is untyped.
        return price_obstacle(offer.price_minor, offer.currency)


class OfferOutput(ListedOfferOutput):
    once_per_buyer = serializers.BooleanField(
        source="is_once_per_buyer", help_text="Whether a buyer who holds the licence is refused a second one."
    )
    existing_licenses = serializers.SerializerMethodField(
        help_text="Of an exclusive offer: how many licences of the work others hold, by kind. They stay."
    )

    class Meta:
        model = LicenseOffer
        fields: tuple[str, ...] = (*ListedOfferOutput.Meta.fields, "rights", "once_per_buyer", "existing_licenses")

    def get_existing_licenses(self, offer: LicenseOffer) -> dict[str, int]:
        if offer.license != LicenseKind.EXCLUSIVE:
            return {}
        return dict(self.context["existing_licenses"].get(offer.product_id, {}))


class ListedProductOutput(serializers.ModelSerializer[Product]):
    """A product in a list: what is longer than a page allows is cut, and complete in `GET` of the one product."""

    title = serializers.SerializerMethodField()
    description = serializers.SerializerMethodField(help_text=f"Its first {EXCERPT} characters.")
    seller = serializers.SerializerMethodField(help_text="The seller's name.")
    seller_id = serializers.UUIDField()
    offers = ListedOfferOutput(many=True)

    class Meta:
        model = Product
        fields: tuple[str, ...] = ("id", "title", "description", "seller", "seller_id", "offers", "created_at")

    def get_title(self, product: Product) -> str:
        return excerpt(product.title, LONGEST_TITLE)

    def get_description(self, product: Product) -> str:
        return excerpt(product.description, EXCERPT)

    def get_seller(self, product: Product) -> str:
        return excerpt(product.seller.name, LISTED_NAME)


class ProductOutput(ListedProductOutput):
    title = serializers.CharField()  # type: ignore[assignment]
    description = serializers.CharField()  # type: ignore[assignment]
    seller = serializers.CharField(source="seller.name")  # type: ignore[assignment]
    offers = OfferOutput(many=True)


def excerpt(text: str, most: int) -> str:
    """One line of at most `most` characters, without those that no line shows."""
    line = "".join(char for char in " ".join(text[: most * 2].split()) if is_printable(char))
    return line if len(line) <= most else line[: most - 1] + "…"


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


def with_what_is_shown(products: QuerySet[Product], *, is_own: bool = False) -> QuerySet[Product]:
    """The products with their seller's name and their offers, the cheapest first: those for sale, or all `is_own`."""
    offers = LicenseOffer.objects.all() if is_own else OFFERS_FOR_SALE
    rows = products.select_related("seller").only(*SHOWN)
    return rows.prefetch_related(Prefetch("offers", offers.order_by("price_minor")))


def serialize_product(product: Product, *, is_own: bool) -> dict[str, Any]:
    """A product from `with_what_is_shown` with all that a buyer has to know before an order."""
    offers = list(product.offers.all())
    context = {
        "is_own": is_own,
        "reasons": reasons_against([offer.pk for offer in offers], at=timezone.now()),
        "existing_licenses": existing_licenses([product.pk]),
    }
    return dict(ProductOutput(product, context=context).data)


class CataloguePages(NewestFirst):
    """Smaller pages than elsewhere: a product is many times an order, and the largest page stays below 100 KB."""

    max_page_size = 50


class Catalogue(GenericAPIView[Product]):
    permission_classes = (IsAuthenticatedOrReadOnly,)
    serializer_class: type[serializers.BaseSerializer[Product]] = ProductOutput
    queryset = Product.objects.all()

    def seller(self) -> User:
        user = self.request.user
        assert isinstance(user, User)
        return user

    def serialize(self, product_id: UUID) -> dict[str, Any]:
        """The caller's own product, even one that is not on sale."""
        row = with_what_is_shown(Product.objects.filter(pk=product_id), is_own=True).get()
        return serialize_product(row, is_own=True)


class Products(Catalogue):
    filter_backends = (AllowedFilters, AllowedOrdering)
    filterset_class = ProductFilters
    ordering_fields = ("created_at", "title")
    pagination_class = CataloguePages
    serializer_class = ListedProductOutput

    @extend_schema(
        operation_id="list_products",
        summary="List products, newest first",
        description="The works that are for sale. Sellers who filter by themselves see all of theirs, and why some are "
        "not for sale.",
    )
    def get(self, request: Request) -> Response:
        is_own = request.user.is_authenticated and request.query_params.get("seller") == str(request.user.pk)
        rows = with_what_is_shown(Product.objects.all() if is_own else products_for_sale(), is_own=is_own)
        page = self.paginate_queryset(self.filter_queryset(rows)) or []
        context: dict[str, Any] = {"is_own": is_own}
        if is_own:
            offers = [offer.pk for product in page for offer in product.offers.all()]
            context["reasons"] = reasons_against(offers, at=timezone.now())
        return self.get_paginated_response(ListedProductOutput(page, many=True, context=context).data)

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
        return Response(self.serialize(product.pk), status=201)


class OneProduct(Catalogue):
    @extend_schema(
        operation_id="get_product",
        summary="Read one product",
        description="One that is for sale, or one of your own.",
        responses=ProductOutput,
    )
    def get(self, request: Request, pk: UUID) -> Response:
        if Product.objects.filter(pk=pk, seller=request.user.pk).exists():
            return Response(self.serialize(pk))
        product = with_what_is_shown(products_for_sale().filter(pk=pk)).first()
        if product is None:
            raise NotFound("There is no such product for sale.")
        return Response(serialize_product(product, is_own=False))

    @extend_schema(
        operation_id="update_product",
        summary="Change a product of your own",
        description="Omitted fields keep their value. Orders keep the price and rights that they were placed with. "
        "Unpublishing, and making an offer inactive, need no plan.",
        request=ProductChanges,
        responses=ProductOutput,
        examples=[OpenApiExample("Take it off sale", {"published": False}, request_only=True)],
    )
    def patch(self, request: Request, pk: UUID) -> Response:
        payload = input_of(request, ProductChanges)
        changes = {name: value for name, value in payload.items() if name != "offers"}
        offers = payload.get("offers", [])
        product = change_product(product_id=pk, seller=self.seller(), changes=changes, offers=offers)
        return Response(self.serialize(product.pk))
