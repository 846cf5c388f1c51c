"""Asking a buyer for money: the payment row, the call that makes its payment page, and asking again.

`open_payment` commits the intent under an id the provider will know it by; `send_payment` makes the call and records
its outcome. Between the two anything may die: the sweep sends again under the same id, which makes no second payment.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models.functions import Coalesce, Now
from django.utils import timezone

from payments.collection.payment_updates import STATUS_OF, apply_payment
from payments.hyperswitch import client
from payments.hyperswitch.health import HEALTH
from payments.hyperswitch.objects import RemotePayment
from payments.models import Payment
from payments.ports import purchase_of
from payments.states import PAYMENT_OPEN, PaymentStatus
from veza.core import calls
from veza.core.causes import Cause
from veza.core.outcomes import Accepted, NotSent, Outcome, Refused, Unknown
from veza.core.provider_health import auth_rejected
from veza.core.states import move

# How long after each unanswered try the provider is asked again; the last one repeats.
RETRY_SCHEDULE = (timedelta(seconds=15), timedelta(minutes=1), timedelta(minutes=5))

# How long after its session a payment page is closed: a buyer who pressed the button in the last second is let through.
GRACE = timedelta(minutes=5)
# What closing a page came to when the provider said that it is closed.
PAGE_OVER = "over"


def retry_after(attempts: int) -> timedelta:
    """How long to wait before asking about a row that was asked about `attempts` times."""
    return RETRY_SCHEDULE[min(attempts, len(RETRY_SCHEDULE) - 1)]


def open_payment(
    *,
    payment_id: UUID,
    purpose: Payment.Purpose,
    purpose_id: UUID,
    correlation_id: UUID,
    payer_id: UUID,
    amount_minor: int,
    currency: str,
    description: str,
    return_url: str,
    future_usage: str = "",
    charges_method: str = "",
) -> Payment:
    """Record a payment that nobody has told the provider about yet, in the caller's transaction.

    `amount_minor` is the whole amount, tax included, in minor units of `currency`. `future_usage="off_session"` asks
    the provider to keep the method; `charges_method` names a kept one, to be charged without the payer and a page.
    """
    assert connection.in_atomic_block, "a payment is opened in the commit of what it pays for"
    return Payment.objects.create(
        pk=payment_id,
        purpose=purpose,
        purpose_id=purpose_id,
        correlation_id=correlation_id,
        payer_id=payer_id,
        amount_minor=amount_minor,
        currency=currency,
        description=description,
        return_url=return_url,
        future_usage=future_usage,
        off_session=bool(charges_method),
        payment_method_id=charges_method,
        session_seconds=int(settings.ORDER_SESSION.total_seconds()),
        next_attempt_at=timezone.now() + retry_after(0),
        close_due_at=None if charges_method else timezone.now() + settings.ORDER_SESSION + GRACE,
    )


def send_payment(payment_id: UUID, *, cause: Cause) -> Outcome[RemotePayment]:
    """Make the payment page at the provider and record what came of it. Safe to repeat at any time.

    A refusal fails the payment and is announced. An unknown outcome leaves it as it is: it will be asked again.
    """
    payment = _mark_sent(payment_id)
    outcome = client.create_payment(_fields(payment), idempotency_key=str(payment.purpose_id))
    _record_sent(payment_id, outcome, cause=cause)
    return outcome


def send_now(payment_id: UUID, *, cause: Cause) -> str:
    """Send it for a person who waits, and return the browser's secret for paying it, if it is known then.

    While the provider fails for everybody nobody waits for it: the sweep sends the payment when it answers again.
    """
    if HEALTH.is_down():
        return ""
    outcome = send_payment(payment_id, cause=cause)
    return outcome.value.client_secret if isinstance(outcome, Accepted) else ""


def check_payment(payment_id: UUID, *, cause: Cause) -> Outcome[RemotePayment]:
    """Find out where a due payment stands: ask the provider, or send it when it was never acknowledged."""
    payment = Payment.objects.get(pk=payment_id)
    if payment.hyperswitch_payment_id is None:
        return send_payment(payment_id, cause=cause)
    outcome = client.read_payment(payment.provider_key, force_sync=True)
    with transaction.atomic(durable=True):
        calls.record(outcome, subject=payment, our_id=payment.provider_key)
        if isinstance(outcome, Accepted):
            apply_payment(outcome.value, cause=cause, at=timezone.now())
        HEALTH.open_review_if_rejected(outcome, payment)
    return outcome


def cancel_payment(payment_id: UUID, *, reason: str, cause: Cause) -> Payment:
    """Close a payment whose page nobody should pay any more, and return it as it then stands.

    Cancelled only if the provider says so, or knows no such payment. One that was paid meanwhile is read and booked
    instead; without an answer nothing changes.
    """
    return close_payment_page(payment_id, reason=reason, cause=cause)[0]


def close_payment_page(payment_id: UUID, *, reason: str, cause: Cause) -> tuple[Payment, str]:
    """The same, and what came of it: "over" if the provider said so, then nobody needs to close the page again."""
    payment = Payment.objects.get(pk=payment_id)
    outcome = client.cancel_payment(payment.provider_key, reason=reason, idempotency_key=str(payment.pk))
    with transaction.atomic(durable=True):
        payment = Payment.objects.locked().get(pk=payment_id)
        calls.record(outcome, subject=payment, our_id=payment.provider_key)
        match outcome:
            case Accepted(value=snapshot):
                apply_payment(snapshot, cause=cause, at=timezone.now())
            case Refused(code=client.DOES_NOT_EXIST) if payment.status in PAYMENT_OPEN:
                at = timezone.now()
                never = {"next_attempt_at": None, "close_due_at": None}
                move(payment, PaymentStatus.CANCELLED, cause=cause, at=at, **never)
                purchase_of(payment).payment_failed(payment, cause=cause, at=at)
            case Refused() | Unknown() | NotSent():
                HEALTH.open_review_if_rejected(outcome, payment)
    over = isinstance(outcome, Refused) and outcome.code == client.DOES_NOT_EXIST
    if isinstance(outcome, Refused) and payment.hyperswitch_payment_id is not None:
        outcome = check_payment(payment_id, cause=cause)
    if isinstance(outcome, Accepted):
        over = STATUS_OF.get(outcome.value.status, PaymentStatus.PENDING) != PaymentStatus.PENDING
    payment.refresh_from_db()
    return payment, PAGE_OVER if over else HEALTH.stop_reason(outcome) or "not over"


def client_secret_of(payment: Payment) -> str:
    """The browser's secret for a payment that waits to be paid; it is asked for and never stored."""
    outcome = client.read_payment(payment.provider_key)
    return outcome.value.client_secret if isinstance(outcome, Accepted) else ""


@transaction.atomic(durable=True)
def _mark_sent(payment_id: UUID) -> Payment:
    payment = Payment.objects.locked().get(pk=payment_id)
    attempts = payment.attempts + 1
    Payment.objects.filter(pk=payment_id).update(
        first_sent_at=Coalesce("first_sent_at", Now()),
        next_attempt_at=Now() + retry_after(payment.attempts),
        # The page's session begins when the provider makes it.
        close_due_at=None if payment.off_session else Now() + timedelta(seconds=payment.session_seconds) + GRACE,
        attempts=attempts,
    )
    return payment


def _fields(payment: Payment) -> Mapping[str, Any]:
    """The request, exactly. Tax is inside the amount: given beside it, Hyperswitch would add it on top."""
    params: dict[str, Any] = {
        "payment_id": payment.provider_key,
        "amount": payment.amount_minor,
        "currency": payment.currency,
        "profile_id": settings.HYPERSWITCH_PROFILE_ID,
        "customer_id": payment.customer_key,
        "description": payment.description,
        "capture_method": "automatic",
        "metadata": {payment.purpose: str(payment.purpose_id)},
        "merchant_order_reference_id": str(payment.purpose_id),
    }
    return params | (_charge_of(payment) if payment.off_session else _page_of(payment))


def _page_of(payment: Payment) -> dict[str, Any]:
    """What makes a payment page. Never `confirm`: that is the payer's button."""
    page: dict[str, Any] = {
        "payment_link": True,
        "return_url": payment.return_url,
        "session_expiry": payment.session_seconds,
    }
    return page | ({"setup_future_usage": payment.future_usage} if payment.future_usage else {})


def _charge_of(payment: Payment) -> dict[str, Any]:
    """What charges a saved method at once, without its owner."""
    return {
        "confirm": True,
        "off_session": True,
        "recurring_details": {"type": "payment_method_id", "data": payment.payment_method_id},
    }


@transaction.atomic(durable=True)
def _record_sent(payment_id: UUID, outcome: Outcome[RemotePayment], *, cause: Cause) -> None:
    payment = Payment.objects.locked().get(pk=payment_id)
    calls.record(outcome, subject=payment, our_id=payment.provider_key)
    at = timezone.now()
    match outcome:
        case Accepted(value=snapshot):
            _acknowledge(payment, snapshot, cause=cause)
        case Refused(code=code, message=message) if payment.status == PaymentStatus.CREATED:
            why: dict[str, Any] = {"error_code": code, "error_message": message, "next_attempt_at": None}
            move(payment, PaymentStatus.FAILED, cause=cause, at=at, **why)
            purchase_of(payment).payment_failed(payment, cause=cause, at=at)
        case NotSent() if auth_rejected(outcome):
            Payment.objects.filter(pk=payment_id).update(attempts=max(0, payment.attempts - 1))
            HEALTH.open_review_if_rejected(outcome, payment)
        case Refused() | Unknown() | NotSent():
            pass  # The row stays as it is and its next check is set already.


def _acknowledge(payment: Payment, snapshot: RemotePayment, *, cause: Cause) -> None:
    """Keep the ids. The webhook may have been faster, so only what is still missing is filled in."""
    known: dict[str, Any] = {
        "hyperswitch_payment_id": payment.hyperswitch_payment_id or snapshot.payment_id,
        "payment_url": payment.payment_url or snapshot.payment_url,
        "next_attempt_at": None,
        "attempts": 0,
    }
    if payment.status == PaymentStatus.CREATED:
        move(payment, PaymentStatus.PENDING, cause=cause, **known)
    else:
        Payment.objects.filter(pk=payment.pk).update(**known)
