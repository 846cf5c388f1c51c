"""Collecting money from a buyer: the payment row, the call that makes its payment page, and its retries.

`open_payment` commits the row under the id that Hyperswitch will use; `send_payment` makes the call and records its
outcome. Any process may die between the two: the worker sends it again under the same id, which makes no second
payment.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.db.models import Q
from django.db.models.functions import Coalesce, Now
from django.utils import timezone

from payments.collection.charges import AWAITS_PAYER
from payments.collection.payment_changes import STATUS_OF
from payments.collection.payment_updates import apply_payment
from payments.collection.saved_methods import may_charge
from payments.hyperswitch import client
from payments.hyperswitch.health import HEALTH
from payments.hyperswitch.objects import RemotePayment
from payments.models import Payment
from payments.ports import purchase_of
from payments.retry_policy import CLOSE_GRACE, LOOK_AGAIN_AFTER, UNCONFIRMED_AFTER, retry_after
from payments.states import PAYMENT_OPEN, PaymentStatus
from veza.core import calls, writes
from veza.core.accounts import is_open
from veza.core.causes import Cause
from veza.core.errors import NotAllowed
from veza.core.outcomes import Accepted, NotSent, Outcome, Refused, Unknown
from veza.core.provider_health import auth_rejected
from veza.core.states import move

_ENDED = (PaymentStatus.FAILED, PaymentStatus.CANCELLED)


class PaymentUnderWay(NotAllowed):
    code = "payment_under_way"
    http_status = 409
    retry_after_seconds = 60


# The result of closing a page that Hyperswitch confirms to be closed.
PAGE_CLOSED = "over"


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
    is_sent_now: bool = False,
    is_first: bool = True,
) -> Payment:
    """Record a payment that was not sent yet, in the caller's transaction.

    `amount_minor` is the whole price, tax included, in minor units of `currency`. `future_usage="off_session"` asks
    Hyperswitch to save the method; `charges_method` is a saved one, to be charged without the buyer and a page.
    `is_sent_now` marks it as sent: the caller calls `send_opened` right after the commit. If it dies before, the
    payment counts as unanswered, and the worker sends it. `is_first`: no other payment of the order or invoice was
    opened before.
    """
    assert connection.in_atomic_block, "a payment is opened in the commit of its order or invoice"
    assert amount_minor > 0, "a payment collects something: what is free needs none"
    assert not (charges_method and future_usage), "a saved method is charged, a new one is saved: never both"
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
        has_own_key=not is_first,
        session_seconds=int(settings.ORDER_SESSION.total_seconds()),
        next_attempt_at=timezone.now() + retry_after(0),
        first_sent_at=timezone.now() if is_sent_now else None,
        attempts=1 if is_sent_now else 0,
        close_due_at=None if charges_method else timezone.now() + settings.ORDER_SESSION + CLOSE_GRACE,
    )


def send_payment(payment_id: UUID, *, cause: Cause) -> Outcome[RemotePayment] | None:
    """Make the payment page at Hyperswitch and record the outcome. Safe to repeat at any time.

    A refusal fails the payment, with what follows. An unknown outcome leaves it as it is: it is sent again later. One
    that has ended is not sent, and None returned: a slow process must not charge for what was cancelled. One whose
    purchase does not want it any more is closed at Hyperswitch instead, and refreshed if an earlier attempt was paid. A
    charge of a method that was revoked since, or of a closed account, is not sent: it fails, unless an earlier attempt
    has made it. Nor is a page made for a closed account: the worker cancels the payment.
    """
    payment, is_wanted = _mark_sent(payment_id)
    if payment is None:
        return None
    if not is_wanted:
        cancel_payment(payment_id, reason="No longer wanted.", cause=cause)
        return None
    return _send(payment, cause=cause)


def _send(payment: Payment, *, cause: Cause) -> Outcome[RemotePayment]:
    if payment.off_session and not is_open(payment.payer_id):
        outcome = _find_charge(payment, "account_closed", "The payer's account was closed before it was charged.")
    elif payment.off_session and not may_charge(payment):
        outcome = _find_charge(payment, "mandate_revoked", "The payer revoked the saved method before it was charged.")
    else:
        outcome = client.create_payment(_fields(payment), idempotency_key=payment.idempotency_key)
    _record_outcome(payment.pk, outcome, cause=cause)
    return outcome


def _find_charge(payment: Payment, code: str, why: str) -> Outcome[RemotePayment]:
    """The charge that an attempt without an answer may have made, or a refusal of our own."""
    outcome = client.read_payment(payment.provider_key)
    if isinstance(outcome, Refused) and outcome.code == client.DOES_NOT_EXIST:
        return Refused(code, why, outcome.call)
    return outcome


def may_send_now() -> bool:
    """Whether a buyer may wait for an answer: Hyperswitch is not down."""
    return not HEALTH.is_down()


def send_opened(payment: Payment, *, cause: Cause) -> str:
    """Send a payment that was opened with `is_sent_now`, and return the browser's secret as `send_now` does."""
    assert payment.first_sent_at is not None, "it was committed as sent before the call"
    return _secret_in(_send(payment, cause=cause))


def send_now(payment_id: UUID, *, cause: Cause) -> str:
    """Send it for a buyer who waits, and return the browser's secret for paying it, if Hyperswitch answered.

    While Hyperswitch is down the buyer does not wait for it: the worker sends the payment once it answers again.
    """
    return _secret_in(send_payment(payment_id, cause=cause)) if may_send_now() else ""


def check_payment(payment_id: UUID, *, cause: Cause) -> Outcome[RemotePayment] | None:
    """Refresh a due payment from Hyperswitch, or send it if it was never acknowledged."""
    payment = Payment.objects.get(pk=payment_id)
    if payment.hyperswitch_payment_id is None:
        return send_payment(payment_id, cause=cause)
    return _refresh(payment, cause=cause)


def _refresh(payment: Payment, *, cause: Cause) -> Outcome[RemotePayment]:
    outcome = client.read_payment(payment.provider_key, force_sync=True)
    with writes.atomic():
        calls.record(outcome, subject=payment, our_id=payment.provider_key)
        if isinstance(outcome, Accepted):
            apply_payment(outcome.value, cause=cause, at=timezone.now())
        HEALTH.open_review_if_rejected(outcome, payment)
    return outcome


def cancel_payment(payment_id: UUID, *, reason: str, cause: Cause) -> Payment:
    """Close a payment page that must not be paid any more, and return the payment as it is then.

    It is cancelled only if Hyperswitch confirms it, or does not know the payment. One that was paid meanwhile is
    refreshed and applied instead; without an answer nothing changes.
    """
    return close_payment_page(payment_id, reason=reason, cause=cause)[0]


def close_payment_page(payment_id: UUID, *, reason: str, cause: Cause) -> tuple[Payment, str]:
    """The same, with the result: PAGE_CLOSED if Hyperswitch confirmed it, so that it need not be closed again."""
    payment = Payment.objects.get(pk=payment_id)
    outcome = client.cancel_payment(payment.provider_key, reason=reason, idempotency_key=str(payment.pk))
    payment = _record_cancellation(payment_id, outcome, cause=cause)
    is_closed = isinstance(outcome, Refused) and outcome.code == client.DOES_NOT_EXIST
    # Refused for another reason it is there, even if no answer of ours has said so.
    if isinstance(outcome, Refused) and (payment.hyperswitch_payment_id is not None or not is_closed):
        outcome = _refresh(payment, cause=cause)
    if isinstance(outcome, Accepted):
        is_closed = STATUS_OF.get(outcome.value.status, PaymentStatus.PENDING) != PaymentStatus.PENDING
    payment.refresh_from_db()
    return payment, PAGE_CLOSED if is_closed else HEALTH.stop_reason(outcome) or "not over"


@writes.atomic()
def _record_cancellation(payment_id: UUID, outcome: Outcome[RemotePayment], *, cause: Cause) -> Payment:
    payment = Payment.objects.locked().get(pk=payment_id)
    calls.record(outcome, subject=payment, our_id=payment.provider_key)
    match outcome:
        case Accepted(value=snapshot):
            apply_payment(snapshot, cause=cause, at=timezone.now())
        case Refused(code=client.DOES_NOT_EXIST) if payment.status in PAYMENT_OPEN:
            assert payment.received_minor == 0, "money was never received for a payment that Hyperswitch does not know"
            at = timezone.now()
            # A call that a slow process has not made yet may still make it.
            look_at = Now() + LOOK_AGAIN_AFTER if payment.first_sent_at else None
            changes = {"next_attempt_at": look_at, "close_due_at": None}
            move(payment, PaymentStatus.CANCELLED, cause=cause, at=at, **changes)
            purchase_of(payment).payment_failed(payment, cause=cause, at=at)
        case Refused() | Unknown() | NotSent():
            HEALTH.open_review_if_rejected(outcome, payment)
    return payment


def client_secret_of(payment: Payment) -> str:
    """The browser's secret for paying a pending payment; it is read from Hyperswitch and never stored."""
    return _secret_in(client.read_payment(payment.provider_key))


def _secret_in(outcome: Outcome[RemotePayment] | None) -> str:
    return outcome.value.client_secret if isinstance(outcome, Accepted) else ""


@writes.atomic()
def _mark_sent(payment_id: UUID) -> tuple[Payment | None, bool]:
    """Commit that it is about to be sent, and say whether it is wanted; no payment if it has ended, or is a page
    that the payer may not have any more: their account was closed, or the page is due to be closed.

    This is the last commit before the call: under the locks of the payment and its purchase.
    """
    payment = Payment.objects.locked().get(pk=payment_id)
    if payment.status not in PAYMENT_OPEN or not (payment.off_session or _may_have_page(payment)):
        return None, False
    if not purchase_of(payment).may_collect(payment):
        Payment.objects.filter(pk=payment_id).update(next_attempt_at=Now() + retry_after(payment.attempts))
        return payment, False
    Payment.objects.filter(pk=payment_id).update(
        first_sent_at=Coalesce("first_sent_at", Now()),
        next_attempt_at=Now() + retry_after(payment.attempts),
        # The page's session begins when Hyperswitch makes it.
        close_due_at=None if payment.off_session else Now() + timedelta(seconds=payment.session_seconds) + CLOSE_GRACE,
        attempts=payment.attempts + 1,
    )
    return payment, True


def _may_have_page(payment: Payment) -> bool:
    """Sending a page begins its session, so one that is due to be closed would live on: its work was sold, perhaps."""
    closing = Q(close_due_at__lte=Now()) | Q(closing_started_at__isnull=False)
    return is_open(payment.payer_id) and not Payment.objects.filter(closing, pk=payment.pk).exists()


def _fields(payment: Payment) -> Mapping[str, Any]:
    """The request, exactly. Tax is included in the amount: sent separately, Hyperswitch would add it on top."""
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
    """The fields that make a payment page. Never `confirm`: that is the buyer's button."""
    page: dict[str, Any] = {
        "payment_link": True,
        "return_url": payment.return_url,
        "session_expiry": payment.session_seconds,
    }
    return page | ({"setup_future_usage": payment.future_usage} if payment.future_usage else {})


def _charge_of(payment: Payment) -> dict[str, Any]:
    """The fields that charge a saved method immediately, without the buyer."""
    assert payment.payment_method_id, "a charge without the buyer has a saved method"
    return {
        "confirm": True,
        "off_session": True,
        "recurring_details": {"type": "payment_method_id", "data": payment.payment_method_id},
    }


@writes.atomic()
def _record_outcome(payment_id: UUID, outcome: Outcome[RemotePayment], *, cause: Cause) -> None:
    payment = Payment.objects.locked().get(pk=payment_id)
    calls.record(outcome, subject=payment, our_id=payment.provider_key)
    at = timezone.now()
    match outcome:
        case Accepted(value=snapshot):
            _acknowledge(payment, snapshot, cause=cause)
        case Refused(code=code, message=message) if payment.status == PaymentStatus.CREATED:
            error: dict[str, Any] = {"error_code": code, "error_message": message, "next_attempt_at": None}
            move(payment, PaymentStatus.FAILED, cause=cause, at=at, **error)
            purchase_of(payment).payment_failed(payment, cause=cause, at=at)
        case NotSent() if auth_rejected(outcome):
            writes.update(payment, attempts=max(0, payment.attempts - 1))
            HEALTH.open_review_if_rejected(outcome, payment)
        case Unknown() if payment.status in _ENDED:
            writes.update(payment, next_attempt_at=Now() + LOOK_AGAIN_AFTER)
        case Refused() | Unknown() | NotSent():
            pass  # The row stays as it is and its next attempt is scheduled already.


def _acknowledge(payment: Payment, snapshot: RemotePayment, *, cause: Cause) -> None:
    """Store the ids. The webhook may have been faster, so only what is still missing is filled in."""
    changes: dict[str, Any] = {
        "hyperswitch_payment_id": snapshot.payment_id,
        "payment_url": payment.payment_url or snapshot.payment_url,
        "provider_status": payment.provider_status or snapshot.status[:60],
        "provider_status_at": payment.provider_status_at or snapshot.updated_at,
        "next_attempt_at": None,
        "attempts": 0,
    }
    if payment.off_session and snapshot.status in AWAITS_PAYER:
        is_certain = snapshot.status == "requires_customer_action"
        changes["next_attempt_at"] = Now() if is_certain else Now() + UNCONFIRMED_AFTER
    if payment.status == PaymentStatus.CREATED:
        move(payment, PaymentStatus.PENDING, cause=cause, **changes)
    elif payment.status in _ENDED and STATUS_OF.get(snapshot.status) != payment.status:
        # It ended here while the call was on its way, and is there all the same: read it, and close it.
        is_open = snapshot.status in AWAITS_PAYER
        changes |= {"provider_status": snapshot.status[:60], "next_attempt_at": Now()}
        changes["close_due_at"] = payment.close_due_at or (Now() if is_open else None)
        writes.update(payment, **changes)
    else:
        writes.update(payment, **changes)
