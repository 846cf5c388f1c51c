"""The catalogue as buyers see it."""

from django.db.models import Prefetch, QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.generics import ListAPIView, RetrieveAPIView
from rest_framework.permissions import AllowAny

from marketplace.models import LicenseOffer, Product


class OfferOutput(serializers.ModelSerializer[LicenseOffer]):
    class Meta:
        model = LicenseOffer
        fields = ("license", "price_minor", "currency", "tax_basis_points", "rights")


class ProductOutput(serializers.ModelSerializer[Product]):
    seller = serializers.CharField(source="seller.name")
    offers = OfferOutput(many=True)

    class Meta:
        model = Product
        fields = ("id", "title", "description", "seller", "offers", "created_at")


def products_for_sale() -> QuerySet[Product]:
    offers = Prefetch("offers", LicenseOffer.objects.filter(active=True).order_by("price_minor"))
    return Product.objects.for_sale().select_related("seller").prefetch_related(offers)


@extend_schema(summary="List products, newest first")
class Products(ListAPIView[Product]):
    permission_classes = (AllowAny,)
    serializer_class = ProductOutput
    queryset = products_for_sale()


@extend_schema(summary="Read one product")
class OneProduct(RetrieveAPIView[Product]):
    permission_classes = (AllowAny,)
    serializer_class = ProductOutput
    queryset = products_for_sale()
