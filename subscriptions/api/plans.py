"""The plans a creator may subscribe to."""

from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.permissions import AllowAny

from subscriptions.models import Plan


class PlanOutput(serializers.ModelSerializer[Plan]):
    class Meta:
        model = Plan
        fields = (
            "id",
            "name",
            "price_minor",
            "tax_basis_points",
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
