"""Payouts: a seller moves money from their account at Stripe to their bank, when they ask for it.

Never more than the account has and may leave it (`connect/funds.py`), and Stripe decides. A payout without an answer is
requested again under the same key; the ledger is not touched, because the money left our books when it was transferred.
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from connect.funds import (
    AccountBalance,
    AccountNotReady,
    BalanceUnknown,
    read_account_balance,
    ready_account,
    refuse_unless_payable,
    refuse_while_held,
    schedule_account_refresh,
)
from connect.messages.payouts import write_payout_email
from connect.models import SellerPayout
from connect.states import PAYOUT_OPEN, PayoutStatus
from connect.stripe import client
from connect.stripe.calls import ACCOUNT_DISCONNECTED
from connect.stripe.health import HEALTH
from connect.stripe.objects import RemotePayout, Unreadable
from connect.worker.retry_policy import KEY_IS_SAFE_FOR, LEASE, MAY_BE_RETURNED_FOR, REFRESH_AFTER, REFRESH_PAID_AFTER
from marketplace.standing import is_money_held
from payments.inbox.intake import HandlingResult, Result
from veza.core import calls, writes
from veza.core.causes import Cause, by_sweep
from veza.core.errors import NotAllowed
from veza.core.outcomes import Accepted, NotSent, Outcome, Refused, Unknown
from veza.core.reviews import close_review, open_review
from veza.core.states import may_move, move
from veza.core.sweeps import Queue, Tally, tick

SWEEP = "connect.move_on_payouts"
NOT_READABLE = "payout_not_readable"
STATUS_UNKNOWN = "payout_status_unknown"
_STATUS = {
    "pending": PayoutStatus.PENDING,
    "in_transit": PayoutStatus.IN_TRANSIT,
    "paid": PayoutStatus.PAID,
    "failed": PayoutStatus.FAILED,
    "canceled": PayoutStatus.CANCELLED,
}


def request_payout(*, payout_id: UUID, seller_id: UUID, amount_minor: int, currency: str, cause: Cause) -> SellerPayout:
    """Pay `amount_minor` out to the seller's bank. A repeated request with the same id returns the first payout.

    Raises MoneyHeld, AccountNotReady, PayoutExceedsBalance, PayoutNotMature, BalanceUnknown.
    """
    assert amount_minor > 0, "a payout is of more than nothing"
    payout, balance = SellerPayout.objects.filter(pk=payout_id, seller=seller_id).first(), None
    if payout is None:
        refuse_while_held(seller_id)
        balance = read_account_balance(ready_account(seller_id))
        payout = open_payout(
            payout_id=payout_id, seller_id=seller_id, amount_minor=amount_minor, currency=currency, balance=balance
        )
    if payout.status == PayoutStatus.PENDING and payout.external_payout_id is None:
        send_payout(payout.pk, cause=cause, balance=balance)
        payout.refresh_from_db()
    return payout


@writes.atomic()
def open_payout(
    *, payout_id: UUID, seller_id: UUID, amount_minor: int, currency: str, balance: AccountBalance
) -> SellerPayout:
    """Record a payout before Stripe is asked for it. A repeated request with the same id returns the first.

    The lock of the account lets two requests of one seller pass one after the other: the second counts the first as
    gone. Raises MoneyHeld, AccountNotReady, PayoutExceedsBalance, PayoutNotMature.
    """
    account = ready_account(seller_id, lock=True)
    payout = SellerPayout.objects.filter(pk=payout_id, seller=seller_id).first()
    if payout is None:
        refuse_while_held(seller_id)
        fields: dict[str, Any] = {
            "pk": payout_id,
            "seller_id": seller_id,
            "stripe_account_id": account.stripe_account_id,
        }
        fields |= {"amount_minor": amount_minor, "currency": currency, "next_attempt_at": Now() + LEASE}
        refuse_unless_payable(SellerPayout(**fields), balance)
        payout = SellerPayout.objects.create(**fields)
    assert payout.currency == currency, "one id is one payout in one currency"
    return payout


def advance_due() -> Tally:
    """Send again what has no answer, and refresh what the bank has."""
    cause = by_sweep(SWEEP)
    rows = SellerPayout.objects.filter(next_attempt_at__isnull=False)
    return tick(
        SWEEP,
        Queue(rows, due="next_attempt_at", lease=LEASE),
        lambda payout: advance_payout(payout.pk, cause=cause),
    )


def advance_payout(payout_id: UUID, *, cause: Cause) -> None:
    """Send a payout that Stripe has not acknowledged; refresh one that it has."""
    payout = SellerPayout.objects.get(pk=payout_id)
    if payout.external_payout_id is None:
        send_payout(payout_id, cause=cause)
        return
    outcome = client.read_payout(payout.external_payout_id, stripe_account_id=payout.stripe_account_id)
    calls.record(outcome, subject=payout, our_id=payout.key)
    match outcome:
        case Accepted():
            record_payout(payout_id, outcome, cause=cause)
        case Refused():
            _report_unreadable(payout, outcome)
        case NotSent() | Unknown():
            """It is refreshed again when its lease is over."""


def _report_unreadable(payout: SellerPayout, refusal: Refused) -> None:
    """Open a review item and retry rarely: our access to the account may be revoked, and with it every answer."""
    if refusal.code == ACCOUNT_DISCONNECTED:
        schedule_account_refresh(payout.stripe_account_id)
    SellerPayout.objects.filter(pk=payout.pk).update(next_attempt_at=Now() + REFRESH_AFTER)
    open_review(
        NOT_READABLE,
        payout,
        why=f"Stripe does not show the payout to us any more ({refusal.code or refusal.call.status}).",
        what_to_do="Check the seller's account in Stripe's dashboard: is it closed, or was our access revoked? "
        "Ask the seller whether the money arrived.",
        amount_minor=payout.amount_minor,
        currency=payout.currency,
    )


def send_payout(
    payout_id: UUID, *, cause: Cause, balance: AccountBalance | None = None
) -> Outcome[RemotePayout] | None:
    """Ask Stripe for the payout and record the answer. None when it is not to be sent now.

    One that cannot be at Stripe is checked against `balance`, or the account's balance now, right before it is sent.
    """
    payout = SellerPayout.objects.get(pk=payout_id)
    if not payout.in_doubt and is_money_held(payout.seller_id):
        return None  # It stays due until our staff release the money.
    if not payout.in_doubt and balance is None:
        balance = _read_balance(payout, cause=cause)
        if balance is None:
            return None
    claim = claim_payout(payout_id, cause=cause, balance=balance)
    if claim is None:
        return None
    outcome = _find(claim)
    if outcome is None:
        outcome = client.create_payout(
            payout_id=claim.pk,
            stripe_account_id=claim.stripe_account_id,
            amount_minor=claim.amount_minor,
            currency=claim.currency,
            idempotency_key=claim.key,
        )
    calls.record(outcome, subject=claim, our_id=claim.key)
    first_until = None if claim.in_doubt else claim.next_attempt_at
    record_payout(payout_id, outcome, cause=cause, first_until=first_until)
    return outcome


def _read_balance(payout: SellerPayout, *, cause: Cause) -> AccountBalance | None:
    """The balance for a payout that was never sent. None when it waits: it stays due; or has failed: no access."""
    try:
        return read_account_balance(ready_account(payout.seller_id))
    except BalanceUnknown:
        return None
    except AccountNotReady as error:
        _refuse(payout.pk, error, cause=cause)
        return None


@writes.atomic()
def _refuse(payout_id: UUID, error: NotAllowed, *, cause: Cause) -> None:
    payout = SellerPayout.objects.locked().get(pk=payout_id)
    if payout.status == PayoutStatus.PENDING and not payout.in_doubt and payout.external_payout_id is None:
        _fail(payout, error.code, error.text, cause=cause, at=timezone.now())


@writes.atomic()
def claim_payout(payout_id: UUID, *, cause: Cause, balance: AccountBalance | None = None) -> SellerPayout | None:
    """Commit that Stripe is about to be asked. None when Stripe has answered already, or when it cannot be paid out.

    One that may be at Stripe is repeated. Any other is checked once more against `balance`: a refund may have taken its
    money since it was opened. What is returned says whether it was in doubt before, and until when this claim lasts.
    """
    payout = SellerPayout.objects.locked().get(pk=payout_id)
    if payout.status != PayoutStatus.PENDING or payout.external_payout_id is not None:
        return None
    if not payout.in_doubt and is_money_held(payout.seller_id):
        return None
    if not payout.in_doubt:
        assert balance is not None, "a payout that was never sent is checked against a balance"
        try:
            refuse_unless_payable(payout, balance)
        except NotAllowed as error:
            _fail(payout, error.code, error.text, cause=cause, at=timezone.now())
            return None
    SellerPayout.objects.filter(pk=payout_id).update(
        first_sent_at=payout.first_sent_at or Now(), in_doubt=True, next_attempt_at=Now() + LEASE
    )
    payout.refresh_from_db(fields=["next_attempt_at"])
    return payout


def _find(payout: SellerPayout) -> Outcome[RemotePayout] | None:
    """Look for a payout whose answer was lost too long ago for its key. None when the request can be repeated."""
    if not payout.in_doubt or payout.first_sent_at is None or timezone.now() - payout.first_sent_at < KEY_IS_SAFE_FOR:
        return None
    made_from = payout.first_sent_at - timedelta(hours=1)
    page = client.list_payouts(stripe_account_id=payout.stripe_account_id, made_from=made_from)
    if isinstance(page, Refused):
        _report_unreadable(payout, page)
    if not isinstance(page, Accepted):
        return Unknown("Stripe's payouts could not be listed", page.call)
    matches = [snapshot for snapshot in page.value if snapshot.our_id == str(payout.pk)]
    return Accepted(matches[0], page.call) if matches else None


@writes.atomic()
def record_payout(
    payout_id: UUID, outcome: Outcome[RemotePayout], *, cause: Cause, first_until: datetime | None = None
) -> None:
    """Record an answer. Only a definite refusal ends the payout; without an answer it is requested again.

    `first_until` is when the claim of this attempt ends, if nothing can have reached Stripe before it.
    """
    payout, at = SellerPayout.objects.locked().get(pk=payout_id), timezone.now()
    match outcome:
        case Accepted(value=snapshot):
            _follow(payout, snapshot, cause=cause, at=at)
            close_review(NOT_READABLE, payout, note=f"Stripe shows it: {snapshot.payout_id}.")
        case Refused(code=code) if code == ACCOUNT_DISCONNECTED and first_until is None:
            # Our access is revoked: the outcome of an earlier attempt is as unknown as before.
            _report_unreadable(payout, outcome)
        case Refused():
            _record_refusal(payout, outcome, cause=cause, at=at)
        case NotSent():
            HEALTH.open_review_if_rejected(outcome, payout)
            if first_until is not None:
                # A later claim has moved the time: its request may be at Stripe.
                SellerPayout.objects.filter(pk=payout_id, next_attempt_at=first_until).update(in_doubt=False)
        case Unknown():
            """It stays in doubt and due: the claim has set when it is requested again."""


def _record_refusal(payout: SellerPayout, refusal: Refused, *, cause: Cause, at: datetime) -> None:
    if payout.status != PayoutStatus.PENDING or payout.external_payout_id is not None:
        return
    if refusal.code == ACCOUNT_DISCONNECTED:
        schedule_account_refresh(payout.stripe_account_id)
    _fail(payout, refusal.code, refusal.message, cause=cause, at=at)


def _fail(payout: SellerPayout, code: str, why: str, *, cause: Cause, at: datetime) -> None:
    fields: dict[str, Any] = {"next_attempt_at": None, "in_doubt": False}
    fields |= {"failure_code": code[:100], "failure_message": why[:500]}
    move(payout, PayoutStatus.FAILED, cause=cause, at=at, **fields)
    write_payout_email(payout)


def apply_payout(snapshot: RemotePayout, *, stripe_account_id: str, cause: Cause, at: datetime) -> HandlingResult:
    """Bring a payout of ours to Stripe's status. The webhook may arrive before the answer to our own request.

    Raises Unreadable for one that names our payout and is another: it has another amount, or another row has its id.
    """
    assert connection.in_atomic_block, "a payout is moved in the commit of its webhook"
    payouts = SellerPayout.objects.locked().filter(stripe_account_id=stripe_account_id)
    payout = payouts.filter(external_payout_id=snapshot.payout_id).first() or _by_our_id(payouts, snapshot)
    if payout is None:
        return HandlingResult(Result.UNMATCHED)
    _check_is_same(payout, snapshot)
    result = Result.OK if _follow(payout, snapshot, cause=cause, at=at) else Result.STALE
    return HandlingResult(result if snapshot.status in _STATUS else Result.IGNORED, payout.correlation_id)


def _check_is_same(payout: SellerPayout, snapshot: RemotePayout) -> None:
    if (snapshot.amount_minor, snapshot.currency) != (payout.amount_minor, payout.currency):
        raise Unreadable(f"amount and currency should be those of payout {payout.pk}")
    if SellerPayout.objects.filter(external_payout_id=snapshot.payout_id).exclude(pk=payout.pk).exists():
        raise Unreadable(f"id should be that of payout {payout.pk} and is that of another")


def _open_review_of_status(payout: SellerPayout, snapshot: RemotePayout) -> None:
    open_review(
        STATUS_UNKNOWN,
        payout,
        why=f"Stripe reports the status {snapshot.status!a} of the payout, which Veza does not know. It stays "
        f"{payout.status}.",
        what_to_do="Support: check the payout in Stripe's dashboard. This item closes when its status is a known one.",
        amount_minor=payout.amount_minor,
        currency=payout.currency,
    )


def _by_our_id(payouts: QuerySet[SellerPayout], snapshot: RemotePayout) -> SellerPayout | None:
    """The payout that Stripe's object names. The answer to our request may store its id while we wait for the lock."""
    try:
        payout = payouts.filter(pk=UUID(snapshot.our_id)).first()
    except ValueError:
        return None
    return payout if payout and payout.external_payout_id in (None, snapshot.payout_id) else None


def _follow(payout: SellerPayout, snapshot: RemotePayout, *, cause: Cause, at: datetime) -> bool:
    """Whether the payout has Stripe's status, or could be moved to it: otherwise the snapshot is stale."""
    assert snapshot.currency == payout.currency, "a payout's currency is the one it was requested in"
    fields: dict[str, Any] = {"external_payout_id": payout.external_payout_id or snapshot.payout_id, "in_doubt": False}
    fields["acknowledged_at"] = payout.acknowledged_at or Now()
    failure = {"failure_code": snapshot.failure_code, "failure_message": snapshot.failure_message}
    to = _STATUS.get(snapshot.status)
    if to is None:
        _open_review_of_status(payout, snapshot)
    else:
        close_review(STATUS_UNKNOWN, payout, note=f"The status at Stripe is {snapshot.status}.")
    fields["next_attempt_at"] = _next_refresh(payout, to or payout.status, at=at)
    if to is not None and may_move(payout, to):
        move(payout, to, cause=cause, at=at, **fields, **failure)
        write_payout_email(payout)
        return True
    if to == payout.status or payout.external_payout_id is None:
        SellerPayout.objects.filter(pk=payout.pk).update(**fields)
    return to == payout.status


def _next_refresh(payout: SellerPayout, status: str, *, at: datetime) -> Any:
    if status in PAYOUT_OPEN:
        return Now() + REFRESH_AFTER
    is_young = at - payout.created_at < MAY_BE_RETURNED_FOR
    return Now() + REFRESH_PAID_AFTER if status == PayoutStatus.PAID and is_young else None
