"""A subscriber's own invoices."""

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.generics import ListAPIView

from subscriptions.models import SubscriptionInvoice
from veza.core.api.requests import user_id_of


class InvoiceOutput(serializers.ModelSerializer[SubscriptionInvoice]):
    plan_name = serializers.CharField(source="plan.name")

    class Meta:
        model = SubscriptionInvoice
        fields = (
            "id",
            "subscription_id",
            "plan_name",
            "status",
            "period_start_at",
            "period_end_at",
            "net_minor",
            "tax_minor",
            "total_minor",
            "is_upgrade",
            "credit_net_minor",
            "credit_tax_minor",
            "currency",
            "paid_at",
            "hyperswitch_payment_id",
            "created_at",
        )


@extend_schema_view(
    get=extend_schema(operation_id="list_invoices", summary="List your invoices, newest first", tags=["subscriptions"])
)
class Invoices(ListAPIView[SubscriptionInvoice]):
    serializer_class = InvoiceOutput
    queryset = SubscriptionInvoice.objects.none()

    def get_queryset(self) -> QuerySet[SubscriptionInvoice]:
        own = SubscriptionInvoice.objects.filter(subscription__user=user_id_of(self.request))
        return own.select_related("plan")
