"""The plans a creator may subscribe to."""

from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.permissions import AllowAny

from subscriptions.models import Plan


class PlanOutput(serializers.ModelSerializer[Plan]):
    total_minor = serializers.IntegerField(read_only=True, help_text="What one period costs, with tax.")

    class Meta:
        model = Plan
        fields = (
            "id",
            "name",
            "version",
            "price_minor",
            "tax_basis_points",
            "total_minor",
            "currency",
            "interval",
            "trial_days",
            "can_sell_on_marketplace",
            "can_distribute",
        )


@extend_schema_view(get=extend_schema(operation_id="list_plans", summary="List the plans, newest first"))
class Plans(ListAPIView[Plan]):
    permission_classes = (AllowAny,)
    serializer_class = PlanOutput
    queryset = Plan.objects.filter(active=True)
