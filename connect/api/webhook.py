"""The webhook endpoint for Stripe's deliveries, both the platform's and Connect's."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from connect.webhooks import HANDLERS, is_signed_by_stripe, read_event
from payments.api.webhook import receive
from payments.inbox.intake import HandlingResult

NO_SECRET = HandlingResult("error: STRIPE_WEBHOOK_SECRET is not set", http_status=500)


@csrf_exempt
@require_POST
def stripe_webhook(request: HttpRequest) -> HttpResponse:
    """Receive one delivery: 200 when it is finished, anything else when Stripe should deliver it again."""

    def is_signed(raw: bytes) -> bool:
        header = request.headers.get("Stripe-Signature")
        return is_signed_by_stripe(raw, header, secrets=settings.STRIPE_WEBHOOK_SECRETS, at=timezone.now())

    return receive(
        request,
        "stripe",
        is_signed=is_signed,
        no_secret=None if settings.STRIPE_WEBHOOK_SECRETS else NO_SECRET,
        parse_event=read_event,
        handlers=HANDLERS,
    )
