"""Why an order ended unpaid, and the way to pay it after all: an address that needs no log-in."""

from django.conf import settings
from django.core.signing import TimestampSigner
from django.urls import reverse
from django.utils.translation import gettext as _

from marketplace.models import Order
from marketplace.states import OrderStatus
from payments.decline_reasons import decline_reason

PAYMENT_LINK = TimestampSigner(salt="marketplace.payment_link")


def failure_reason(status: str, error_code: str) -> str | None:
    """Why an order of this status was not paid, whose last payment has this error code; None for any other order."""
    match status:
        case OrderStatus.FAILED:
            return decline_reason(error_code)
        case OrderStatus.EXPIRED:
            return _("It was not paid in time.")
        case OrderStatus.CANCELLED:
            return _("The order was cancelled.")
    return None


def payment_link(order: Order) -> str:
    """Where the buyer can pay without logging in: it opens the payment page of this order and no more."""
    return f"{settings.PUBLIC_BASE_URL}{reverse('order-payment', args=[PAYMENT_LINK.sign(str(order.pk))])}"
