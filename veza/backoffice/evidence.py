"""An order's money over HTTP, for staff: for the acceptance run and for support's scripts."""

from typing import Any
from uuid import UUID

from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from connect.models import SellerTransfer
from marketplace.allocation import seller_shares_at_sale
from marketplace.models import Order
from payments.models import Payment, Refund, WebhookDelivery
from veza.backoffice.proof import prove_payment
from veza.backoffice.timeline import timeline_of

MAY_READ = (
    "marketplace.view_order",
    "payments.view_payment",
    "payments.view_refund",
    "payments.view_webhookdelivery",
    "connect.view_sellertransfer",
)


class MayReadMoney(BasePermission):
    """Staff who may see all of these rows in the back-office."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        return bool(request.user.is_staff and request.user.has_perms(MAY_READ))


class PaymentEvidence(serializers.ModelSerializer[Payment]):
    class Meta:
        model = Payment
        fields = ("id", "status", "amount_minor", "received_minor", "refunded_minor", "currency")


class TransferEvidence(serializers.ModelSerializer[SellerTransfer]):
    class Meta:
        model = SellerTransfer
        fields = (
            "id",
            "seller_id",
            "status",
            "amount_minor",
            "reversed_minor",
            "currency",
            "stripe_transfer_id",
            "stripe_reversal_id",
            "waiting_for",
            "retry_count",
            "next_retry_at",
            "last_error",
        )


class RefundEvidence(serializers.ModelSerializer[Refund]):
    class Meta:
        model = Refund
        fields = ("id", "status", "amount_minor", "currency", "hyperswitch_refund_id", "error_code")


class DeliveryEvidence(serializers.ModelSerializer[WebhookDelivery]):
    class Meta:
        model = WebhookDelivery
        fields = ("id", "provider", "event_type", "processing_result", "received_at")


class EvidenceOutput(serializers.Serializer[Any]):
    order_id = serializers.UUIDField()
    status = serializers.CharField()
    payments = PaymentEvidence(many=True)
    seller_ids = serializers.ListField(
        child=serializers.UUIDField(), help_text="Who must be paid: each seller with a share of the order."
    )
    transfers = TransferEvidence(many=True)
    refunds = RefundEvidence(many=True)
    deliveries = DeliveryEvidence(many=True)
    timeline = serializers.ListField(child=serializers.CharField())
    balanced = serializers.BooleanField(help_text="Whether the ledger's proof of each payment holds.")


class OrderEvidence(APIView):
    permission_classes = (MayReadMoney,)

    @extend_schema(
        operation_id="get_order_evidence",
        summary="Get the rows and the proof of an order's money (staff)",
        responses=EvidenceOutput,
        tags=["staff"],
    )
    def get(self, request: Request, pk: UUID) -> Response:
        order = Order.objects.filter(pk=pk).first()
        if order is None:
            raise Http404
        payments = list(Payment.objects.filter(correlation_id=pk).order_by("pk"))
        evidence = {
            "order_id": order.pk,
            "status": order.status,
            "payments": payments,
            "seller_ids": sorted(seller for seller, share in seller_shares_at_sale(pk).items() if share),
            "transfers": SellerTransfer.objects.filter(order=order).order_by("pk"),
            "refunds": Refund.objects.filter(correlation_id=pk).order_by("pk"),
            "deliveries": WebhookDelivery.objects.filter(correlation_id=pk).order_by("received_at"),
            "timeline": [line.text for line in timeline_of(pk)],
            "balanced": all(prove_payment(payment).is_balanced for payment in payments),
        }
        return Response(EvidenceOutput(evidence).data)
