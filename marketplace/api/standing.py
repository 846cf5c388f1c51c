"""A seller's own standing: what staff have restricted them in, and which of their works staff took off sale."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from marketplace.models import Product, SellerRestriction
from veza.core.api.requests import user_id_of

# More works are not listed: their own e-mails name them.
MOST_WORKS = 100


class RestrictionOutput(serializers.ModelSerializer[SellerRestriction]):
    """A suspension stops sales and money, a hold the money alone. Staff decide again by `review_at`."""

    class Meta:
        model = SellerRestriction
        fields = ("kind", "reason", "since_at", "review_at")


class WorkOffSaleOutput(serializers.ModelSerializer[Product]):
    product_id = serializers.UUIDField(source="id")
    reason = serializers.CharField(source="taken_off_sale_reason")
    since_at = serializers.DateTimeField(source="taken_off_sale_at")

    class Meta:
        model = Product
        fields = ("product_id", "title", "reason", "since_at")


class StandingOutput(serializers.Serializer[Any]):
    restrictions = RestrictionOutput(many=True)
    works_off_sale = WorkOffSaleOutput(many=True)


def restrictions_of(seller_id: UUID) -> list[dict[str, Any]]:
    """The restrictions in force, as the seller reads them."""
    rows = SellerRestriction.objects.in_force().filter(seller=seller_id).order_by("pk")
    return [dict(each) for each in RestrictionOutput(rows, many=True).data]


class Standing(APIView):
    @extend_schema(
        operation_id="get_standing",
        tags=["me"],
        summary="What limits your sales",
        description="Suspensions, holds and works taken off sale by our staff: the reason, since when, and by when we "
        "decide again. To contest one, answer the e-mail about it.",
        responses=StandingOutput,
    )
    def get(self, request: Request) -> Response:
        """The caller's own standing; empty lists for a user without restrictions."""
        seller_id = user_id_of(request)
        works = Product.objects.filter(seller=seller_id, taken_off_sale_at__isnull=False)
        newest = works.order_by("-taken_off_sale_at", "pk")[:MOST_WORKS]
        return Response(
            {
                "restrictions": restrictions_of(seller_id),
                "works_off_sale": WorkOffSaleOutput(newest, many=True).data,
            }
        )
