"""The API of an upgrade now: what it costs, and paying for it."""

from typing import Any
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from subscriptions import upgrades
from subscriptions.api.plans import PlanOutput
from subscriptions.api.subscriptions import PlanInput, SubscriptionCheckout, serialize_checkout
from subscriptions.checkout import Checkout
from subscriptions.proration import Quote
from subscriptions.states import InvoiceStatus
from veza.core.api.idempotency import idempotent
from veza.core.api.inputs import input_of
from veza.core.api.requests import cause_of, user_id_of
from veza.core.api.throttles import MovingMoney, Reading


class UpgradeInput(PlanInput):
    quoted_at = serializers.DateTimeField(help_text="`quoted_at` of the preview that was shown.")
    expected_total_minor = serializers.IntegerField(min_value=1, help_text="`total_minor` of that preview.")


class QuoteOutput(serializers.Serializer[Quote]):
    plan = PlanOutput()
    quoted_at = serializers.DateTimeField(source="start_at")
    period_start_at = serializers.DateTimeField(source="start_at")
    period_end_at = serializers.DateTimeField(source="end_at")
    price_net_minor = serializers.IntegerField(source="price.net_minor", help_text="Of a whole period, before tax.")
    price_tax_minor = serializers.IntegerField(source="price.tax_minor")
    credit_net_minor = serializers.IntegerField(help_text="For the rest of the current period, before tax.")
    credit_tax_minor = serializers.IntegerField()
    net_minor = serializers.IntegerField(help_text="The price less the credit.")
    tax_minor = serializers.IntegerField()
    total_minor = serializers.IntegerField(help_text="What is charged now: `net_minor` and `tax_minor`.")
    currency = serializers.CharField()


class UpgradePreview(APIView):
    @extend_schema(
        operation_id="preview_upgrade",
        summary="See what an upgrade now costs",
        description="Nothing changes. The price of a whole period that begins now, less a credit for the seconds that "
        "are left of the current one. 409 `credit_exceeds_price`, `amount_below_minimum`, `currency_differs`, "
        "`already_on_plan` or `payment_disputed`: change the plan at the end of the period instead.",
        request=PlanInput,
        responses=QuoteOutput,
        tags=["subscriptions"],
    )
    def post(self, request: Request) -> Response:
        payload = input_of(request, PlanInput)
        quote = upgrades.preview_upgrade(user_id=user_id_of(request), plan_id=payload["plan_id"], at=timezone.now())
        return Response(QuoteOutput(quote).data)


class Upgrade(APIView):
    throttle_classes = (Reading, MovingMoney)

    @extend_schema(
        operation_id="upgrade_subscription",
        summary="Upgrade now",
        description="Charges what the preview showed, to the saved payment method. 201: it is paid, or can be paid at "
        "`payment_url`, because there is no saved method or its charge failed. 202: the charge is in progress. The "
        "plan changes when it is paid, and until then nothing does. 409 `quote_changed`: ask for another preview. 409 "
        "`payment_under_way` while an upgrade is being paid.",
        request=UpgradeInput,
        responses={201: SubscriptionCheckout, 202: SubscriptionCheckout},
        tags=["subscriptions"],
    )
    @idempotent
    def post(self, request: Request, *, result_id: UUID) -> Response:
        payload: dict[str, Any] = dict(input_of(request, UpgradeInput))
        checkout = upgrades.request_upgrade(
            invoice_id=result_id, user_id=user_id_of(request), cause=cause_of(request), at=timezone.now(), **payload
        )
        return Response(serialize_checkout(checkout), status=_http_status_of(checkout))


def _http_status_of(checkout: Checkout) -> int:
    """202 while it is not known whether it is paid, and there is no page to pay it on."""
    is_paid = checkout.invoice is not None and checkout.invoice.status == InvoiceStatus.PAID
    return 201 if is_paid or checkout.payment_url else 202
