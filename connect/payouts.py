"""Payouts: a seller moves money from their account at Stripe to their bank, when they ask for it.

Never more than the account has: its balance is read first, less what is being taken back from it, and Stripe has
the last word. A payout that nobody answered is asked again under the same key; the ledger is not touched, because
the money left our books when it was transferred.
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F, Sum
from django.db.models.functions import Now
from django.utils import timezone

from connect.models import ConnectedAccount, SellerPayout, SellerTransfer
from connect.states import PAYOUT_OPEN, PayoutStatus
from connect.stripe import client
from connect.stripe.calls import ACCOUNT_DISCONNECTED
from connect.stripe.health import HEALTH
from connect.stripe.objects import RemotePayout
from connect.worker.retries import KEY_IS_SAFE_FOR
from payments.inbox.intake import HandlingResult, Result
from veza.core import calls
from veza.core.causes import Cause, by_sweep
from veza.core.errors import NotAllowed
from veza.core.money import format_amount
from veza.core.outcomes import Accepted, NotSent, Outcome, Refused, Unknown
from veza.core.reviews import close_review, open_review
from veza.core.states import may_move, move
from veza.core.sweeps import Queue, Tally, tick

SWEEP = "connect.move_on_payouts"
NOT_READABLE = "payout_not_readable"
# After a call that brought no answer; and how often a payout that the bank has is asked about, webhooks or not.
ASK_AGAIN_AFTER = timedelta(minutes=2)
ASK_THE_BANK_AGAIN_AFTER = timedelta(hours=6)
# How long a bank may still send back what was paid: five of its own days.
MAY_BOUNCE_FOR = timedelta(days=8)
_STATUS = {
    "pending": PayoutStatus.PENDING,
    "in_transit": PayoutStatus.IN_TRANSIT,
    "paid": PayoutStatus.PAID,
    "failed": PayoutStatus.FAILED,
    "canceled": PayoutStatus.CANCELLED,
}


class AccountNotReady(NotAllowed):
    code = "payouts_not_enabled"


class PayoutExceedsBalance(NotAllowed):
    code = "payout_exceeds_balance"


class BalanceUnknown(NotAllowed):
    code = "stripe_unavailable"
    http_status = 503


def request_payout(*, payout_id: UUID, seller_id: UUID, amount_minor: int, currency: str, cause: Cause) -> SellerPayout:
    """Pay `amount_minor` out to the seller's bank. Asking again with the same id finds the first payout.

    Raises AccountNotReady, PayoutExceedsBalance, BalanceUnknown.
    """
    payout = SellerPayout.objects.filter(pk=payout_id, seller=seller_id).first()
    if payout is None:
        _refuse_more_than_there_is(seller_id, amount_minor, currency)
        payout = open_payout(payout_id=payout_id, seller_id=seller_id, amount_minor=amount_minor, currency=currency)
    if payout.status == PayoutStatus.PENDING and payout.external_payout_id is None:
        send_payout(payout.pk, cause=cause)
        payout.refresh_from_db()
    return payout


def _refuse_more_than_there_is(seller_id: UUID, amount_minor: int, currency: str) -> None:
    account = _ready_account(seller_id)
    match client.read_balance(account.stripe_account_id or ""):
        case Accepted(value=available):
            pass
        case Refused(code=code):
            if code == ACCOUNT_DISCONNECTED:
                _have_it_read(account.stripe_account_id)
            raise AccountNotReady("Stripe does not let us see this account any more. Ask support what to do.")
        case NotSent() | Unknown():
            raise BalanceUnknown("Stripe has not said what the account has. Ask again in a minute.")
    left = max(0, available.get(currency, 0) - _being_taken_back(seller_id, currency))
    if amount_minor > left:
        raise PayoutExceedsBalance(f"Only {format_amount(left, currency)} can be paid out now.")


def _ready_account(seller_id: UUID) -> ConnectedAccount:
    account = ConnectedAccount.objects.filter(seller=seller_id, stripe_account_id__isnull=False).first()
    if account is None or not account.payouts_enabled:
        raise AccountNotReady("Stripe pays out once your account is complete: POST /api/v1/connect/account.")
    return account


def _being_taken_back(seller_id: UUID, currency: str) -> int:
    """What Stripe is asked for, and what it could not take back: neither is the seller's to pay out."""
    own = SellerTransfer.objects.filter(seller=seller_id, currency=currency)
    rows = own.to_reverse() | own.owed_by(seller_id, currency).order_by()
    return rows.aggregate(owed=Sum(F("reversal_target_minor") - F("reversed_minor")))["owed"] or 0


@transaction.atomic(durable=True)
def open_payout(*, payout_id: UUID, seller_id: UUID, amount_minor: int, currency: str) -> SellerPayout:
    """Record a payout that nobody has told Stripe about yet. Asking again with the same id returns the first."""
    account = _ready_account(seller_id)
    payout, _ = SellerPayout.objects.get_or_create(
        pk=payout_id,
        seller_id=seller_id,
        defaults={
            "stripe_account_id": account.stripe_account_id or "",
            "amount_minor": amount_minor,
            "currency": currency,
            "next_attempt_at": Now() + ASK_AGAIN_AFTER,
        },
    )
    return payout


def advance_due() -> Tally:
    """Send what nobody answered, and ask about what the bank has."""
    cause = by_sweep(SWEEP)
    open_rows = SellerPayout.objects.filter(next_attempt_at__isnull=False)
    return tick(
        SWEEP,
        Queue(open_rows, due="next_attempt_at", lease=ASK_AGAIN_AFTER),
        lambda payout: advance_payout(payout.pk, cause=cause),
    )


def advance_payout(payout_id: UUID, *, cause: Cause) -> None:
    """Send a payout that Stripe has not acknowledged; ask about one that it has."""
    payout = SellerPayout.objects.get(pk=payout_id)
    if payout.external_payout_id is None:
        send_payout(payout_id, cause=cause)
        return
    snapshot = client.read_payout(payout.external_payout_id, stripe_account_id=payout.stripe_account_id)
    calls.record(snapshot, subject=payout, our_id=payout.key)
    match snapshot:
        case Accepted():
            record_payout(payout_id, snapshot, cause=cause)
        case Refused():
            _cannot_be_read(payout, snapshot)
        case NotSent() | Unknown():
            """It is asked about again when its lease is over."""


def _have_it_read(stripe_account_id: str | None) -> None:
    """Have the account itself read: that tells whether it is gone, and a person with it."""
    ConnectedAccount.objects.filter(stripe_account_id=stripe_account_id).update(refresh_due_at=Now())


def _cannot_be_read(payout: SellerPayout, refused: Refused) -> None:
    """Let a person look, and ask seldom: the account may be gone, and with it every answer."""
    if refused.code == ACCOUNT_DISCONNECTED:
        _have_it_read(payout.stripe_account_id)
    SellerPayout.objects.filter(pk=payout.pk).update(next_attempt_at=Now() + ASK_THE_BANK_AGAIN_AFTER)
    open_review(
        NOT_READABLE,
        payout,
        why=f"Stripe does not show the payout to us any more ({refused.code or refused.call.status}).",
        what_to_do="Look at the seller's account in Stripe's dashboard: is it closed, or was our access taken away? "
        "Ask the seller whether the money came.",
        amount_minor=payout.amount_minor,
        currency=payout.currency,
    )


def send_payout(payout_id: UUID, *, cause: Cause) -> Outcome[RemotePayout] | None:
    """Ask Stripe for the payout and keep the answer. None when Stripe has acknowledged it already."""
    payout = claim_payout(payout_id)
    if payout is None:
        return None
    outcome = _find(payout)
    if outcome is None:
        outcome = client.create_payout(
            payout_id=payout.pk,
            stripe_account_id=payout.stripe_account_id,
            amount_minor=payout.amount_minor,
            currency=payout.currency,
            idempotency_key=payout.key,
        )
    calls.record(outcome, subject=payout, our_id=payout.key)
    record_payout(payout_id, outcome, cause=cause, first=not payout.in_doubt)
    return outcome


@transaction.atomic(durable=True)
def claim_payout(payout_id: UUID) -> SellerPayout | None:
    """Commit that Stripe is about to be asked. None when it has acknowledged the payout already."""
    payout = SellerPayout.objects.locked().get(pk=payout_id)
    if payout.status != PayoutStatus.PENDING or payout.external_payout_id is not None:
        return None
    sent_before = payout.first_sent_at
    SellerPayout.objects.filter(pk=payout_id).update(
        first_sent_at=sent_before or Now(), in_doubt=True, next_attempt_at=Now() + ASK_AGAIN_AFTER
    )
    return payout


def _find(payout: SellerPayout) -> Outcome[RemotePayout] | None:
    """Look for a payout whose answer was lost too long ago for its key. None when it may simply be asked for."""
    if not payout.in_doubt or payout.first_sent_at is None or timezone.now() - payout.first_sent_at < KEY_IS_SAFE_FOR:
        return None
    made_from = payout.first_sent_at - timedelta(hours=1)
    listed = client.list_payouts(stripe_account_id=payout.stripe_account_id, made_from=made_from)
    if isinstance(listed, Refused):
        _cannot_be_read(payout, listed)
    if not isinstance(listed, Accepted):
        return Unknown("Stripe's payouts could not be listed", listed.call)
    found = [snapshot for snapshot in listed.value if snapshot.our_id == str(payout.pk)]
    return Accepted(found[0], listed.call) if found else None


@transaction.atomic(durable=True)
def record_payout(payout_id: UUID, outcome: Outcome[RemotePayout], *, cause: Cause, first: bool = False) -> None:
    """Keep what came of asking. Only a definite no ends the payout; what was not answered is asked again.

    `first`: nothing can have reached Stripe before this try.
    """
    payout, at = SellerPayout.objects.locked().get(pk=payout_id), timezone.now()
    match outcome:
        case Accepted(value=snapshot):
            _follow(payout, snapshot, cause=cause, at=at)
            close_review(NOT_READABLE, payout, note=f"Stripe shows it: {snapshot.payout_id}.")
        case Refused(code=code) if code == ACCOUNT_DISCONNECTED and not first:
            # Turned away at the gate: what an earlier try came to is as unknown as before.
            _cannot_be_read(payout, outcome)
        case Refused():
            _refused(payout, outcome, cause=cause, at=at)
        case NotSent():
            HEALTH.open_review_if_rejected(outcome, payout)
            if first:
                SellerPayout.objects.filter(pk=payout_id, external_payout_id__isnull=True).update(in_doubt=False)
        case Unknown():
            """It stays in doubt and due: the claim has said when it is asked for again."""


def _refused(payout: SellerPayout, refused: Refused, *, cause: Cause, at: datetime) -> None:
    if payout.status != PayoutStatus.PENDING or payout.external_payout_id is not None:
        return
    if refused.code == ACCOUNT_DISCONNECTED:
        _have_it_read(payout.stripe_account_id)
    ended: dict[str, Any] = {"next_attempt_at": None, "in_doubt": False}
    ended |= {"failure_code": refused.code[:100], "failure_message": refused.message[:500]}
    move(payout, PayoutStatus.FAILED, cause=cause, at=at, **ended)


def apply_payout(snapshot: RemotePayout, *, stripe_account_id: str, cause: Cause, at: datetime) -> HandlingResult:
    """Bring a payout of ours to where Stripe says it is. It may be earlier than the answer to our own request."""
    payouts = SellerPayout.objects.locked().filter(stripe_account_id=stripe_account_id)
    payout = payouts.filter(external_payout_id=snapshot.payout_id).first() or _by_our_id(payouts, snapshot)
    if payout is None:
        return HandlingResult(Result.UNMATCHED)
    return HandlingResult(
        Result.OK if _follow(payout, snapshot, cause=cause, at=at) else Result.STALE, payout.correlation_id
    )


def _by_our_id(payouts: Any, snapshot: RemotePayout) -> SellerPayout | None:
    try:
        found: SellerPayout | None = payouts.filter(pk=UUID(snapshot.our_id), external_payout_id__isnull=True).first()
    except ValueError:
        return None
    return found


def _follow(payout: SellerPayout, snapshot: RemotePayout, *, cause: Cause, at: datetime) -> bool:
    """Whether the payout stands where Stripe says it does, or could be moved there: otherwise it is old news."""
    known: dict[str, Any] = {"external_payout_id": payout.external_payout_id or snapshot.payout_id, "in_doubt": False}
    told = {"failure_code": snapshot.failure_code, "failure_message": snapshot.failure_message}
    to = _STATUS.get(snapshot.status)
    known["next_attempt_at"] = _next_check(payout, to or payout.status, at=at)
    if to is not None and may_move(payout, to):
        move(payout, to, cause=cause, at=at, **known, **told)
        return True
    if to == payout.status or payout.external_payout_id is None:
        SellerPayout.objects.filter(pk=payout.pk).update(**known)
    return to == payout.status


def _next_check(payout: SellerPayout, status: str, *, at: datetime) -> Any:
    if status in PAYOUT_OPEN:
        return Now() + ASK_THE_BANK_AGAIN_AFTER
    young = at - payout.created_at < MAY_BOUNCE_FOR
    return Now() + timedelta(days=1) if status == PayoutStatus.PAID and young else None
