"""What the clock does for payments and refunds."""

from datetime import timedelta

from celery import shared_task

from payments import intents, refunds
from payments.models import Payment, Refund
from veza.core.causes import by_sweep
from veza.core.sweeps import claim, tick

LEASE = timedelta(minutes=2)


@shared_task(name="payments.resend")
def resend(**_newer: object) -> None:
    """Send what was never sent and ask about what was never answered: payments first, then refunds."""
    cause = by_sweep("payments.resend")
    tick(
        "payments.resend",
        take=lambda: claim(Payment.objects.all(), due="next_check_at", lease=LEASE),
        handle=lambda payment: intents.check_payment(payment.pk, cause=cause),
    )
    tick(
        "refunds.resend",
        take=lambda: claim(Refund.objects.all(), due="next_check_at", lease=LEASE),
        handle=lambda refund: refunds.check_refund(refund.pk, cause=cause),
    )
