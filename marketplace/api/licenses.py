"""A buyer's own licences."""

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.generics import ListAPIView

from marketplace.models import License
from marketplace.states import LicenseStatus
from veza.core.api.requests import user_id_of


class LicenseOutput(serializers.ModelSerializer[License]):
    title = serializers.CharField(source="item.title")
    license = serializers.CharField(source="item.license")
    product_id = serializers.UUIDField(source="offer.product_id")

    class Meta:
        model = License
        fields = ("id", "order_id", "product_id", "title", "license", "status", "rights", "created_at")


@extend_schema_view(
    get=extend_schema(
        operation_id="list_licenses",
        summary="List your licences",
        description="Active licences, unless `status` selects others.",
        parameters=[OpenApiParameter("status", enum=LicenseStatus.values, default="active")],
    )
)
class OwnLicenses(ListAPIView[License]):
    serializer_class = LicenseOutput

    def get_queryset(self) -> QuerySet[License]:
        if getattr(self, "swagger_fake_view", False):
            return License.objects.none()
        status = self.request.query_params.get("status", LicenseStatus.ACTIVE)
        if status not in LicenseStatus.values:
            raise ValidationError({"status": f"{status!r} is not one of {', '.join(LicenseStatus.values)}."})
        own = License.objects.filter(holder=user_id_of(self.request), status=status)
        return own.select_related("item", "offer")
