"""Stripe's webhooks: the signature, the event, and the verb that applies it.

Deliveries repeat and come in any order, and a handler makes no call. A snapshot is stored unless a newer one is;
whatever it shows, the worker refreshes the account or the transfer afterwards, and that snapshot counts.

A body that is no JSON is answered 400: its bytes may have been damaged on the way. JSON of a shape that we do not know
would be the same each time: it is answered 200, ignored, and opens a review item.
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models.functions import Now

from connect.accounts import access_revoked, apply_account, apply_capability, is_stale, revoke_access
from connect.messages.accounts import write_bank_email
from connect.models import ConnectedAccount, SellerPayout, SellerTransfer
from connect.payouts import apply_payout
from connect.stripe.objects import Unreadable, parse_account, parse_capability, parse_payout, parse_transfer
from connect.transfers.transfer_outcomes import book_lost_answer, find_transfer
from payments.inbox.intake import Event, Handler, HandlingResult, Result, ignore_event, read_envelope
from payments.inbox.unknown_events import UnreadableEvent
from veza.core.causes import Cause

# How far a signature's time may be from ours, either way: against replay attacks.
TOLERANCE = timedelta(seconds=300)
# How far an event's time may be ahead of ours.
_AHEAD = timedelta(days=1)
# As many digits of a bank account's number as Stripe tells.
LAST_DIGITS = 4


def is_signed_by_stripe(raw: bytes, header: str | None, *, secrets: Sequence[str], at: datetime) -> bool:
    """Whether `header` (`t=<unix>,v1=<hex>,…`) signs exactly these bytes under one of `secrets`, about now.

    It has several `v1` while a secret is being replaced, and the platform's and the Connect endpoint have a secret
    each. Without a secret nothing is valid.
    """
    pairs = [pair.partition("=") for pair in (header or "").split(",")]
    times = [value.strip() for name, _, value in pairs if name.strip() == "t"]
    signatures = [value.strip() for name, _, value in pairs if name.strip() == "v1"]
    if len(times) != 1 or not (times[0].isascii() and times[0].isdecimal()) or len(times[0]) > 12:
        return False
    if abs(at.timestamp() - int(times[0])) > TOLERANCE.total_seconds():
        return False
    message = times[0].encode() + b"." + raw
    digests = [hmac.new(secret.encode(), message, hashlib.sha256).hexdigest() for secret in secrets if secret]
    return any(hmac.compare_digest(digest.encode(), one.encode()) for digest in digests for one in signatures)


def read_event(raw: bytes) -> Event:
    """Read Stripe's envelope, which is kept whole: who it is for stands beside the object.

    Raises NotAnEvent for what is no JSON, UnreadableEvent with a sentence that says what the envelope lacks.
    """
    envelope = read_envelope(raw)
    event_id, event_type = envelope.get("id"), envelope.get("type")
    if envelope.get("object") != "event":
        raise UnreadableEvent("the body is not an event", event_id=event_id, event_type=event_type)
    if not isinstance(event_id, str) or not 0 < len(event_id) <= 100:
        raise UnreadableEvent("the event has no id", event_type=event_type)
    if not isinstance(event_type, str) or not event_type:
        raise UnreadableEvent("the event has no type", event_id=event_id)
    return Event(event_id, event_type, envelope)


def _apply_account(
    payload: Mapping[str, Any], envelope: Mapping[str, Any], *, cause: Cause, at: datetime
) -> HandlingResult:
    snapshot = parse_account(payload)
    account = _account(snapshot.account_id)
    if account is None:
        return HandlingResult(_result_of_unknown_account())
    created_at = _created_at(envelope, at=at)
    stale = is_stale(account, created_at) or access_revoked(account)
    if not stale:  # Of an account whose access was revoked only our own read is believed.
        apply_account(seller_id=account.seller_id, snapshot=snapshot, at=created_at)
    return _schedule_refresh(account, stale=stale)


def _apply_capability(
    payload: Mapping[str, Any], envelope: Mapping[str, Any], *, cause: Cause, at: datetime
) -> HandlingResult:
    capability = parse_capability(payload)
    if capability.name != "transfers":
        return HandlingResult(Result.IGNORED)
    account = _account(capability.account_id or str(envelope.get("account") or ""))
    if account is None:
        return HandlingResult(_result_of_unknown_account())
    created_at = _created_at(envelope, at=at)
    stale = is_stale(account, created_at) or access_revoked(account)
    if not stale:
        apply_capability(account, capability, at=created_at)
    return _schedule_refresh(account, stale=stale)


def _revoke_access(
    _payload: Mapping[str, Any], envelope: Mapping[str, Any], *, cause: Cause, at: datetime
) -> HandlingResult:
    account = _account(str(envelope.get("account") or ""))
    if account is None:
        return HandlingResult(_result_of_unknown_account())
    revoke_access(account, at=_created_at(envelope, at=at))
    return HandlingResult(Result.OK, account.seller_id)


def _schedule_transfer_refresh(
    payload: Mapping[str, Any], _envelope: Mapping[str, Any], *, cause: Cause, at: datetime
) -> HandlingResult:
    snapshot = parse_transfer(payload)
    transfer = SellerTransfer.objects.filter(stripe_transfer_id=snapshot.transfer_id).first()
    if transfer is None:
        # Ours without an answer yet, or made outside Veza with our key: replayed, then a review item.
        return HandlingResult(Result.UNMATCHED)
    if snapshot.reversed_minor > transfer.reversed_minor:
        SellerTransfer.objects.filter(pk=transfer.pk).update(refresh_due_at=Now())
    return HandlingResult(Result.OK, transfer.correlation_id)


def _book_lost_answer(
    payload: Mapping[str, Any], _envelope: Mapping[str, Any], *, cause: Cause, at: datetime
) -> HandlingResult:
    """Usually the answer to our request said the same. If it was lost, the transfer is booked by this event."""
    snapshot = parse_transfer(payload)
    if not snapshot.our_id:
        return HandlingResult(Result.IGNORED)  # Made outside Veza: the comparison of lists reports it.
    transfer = find_transfer(snapshot)
    if transfer is None:
        return HandlingResult(Result.UNMATCHED)
    is_booked = book_lost_answer(transfer, snapshot, cause=cause, at=at)
    return HandlingResult(Result.OK if is_booked else Result.STALE, transfer.correlation_id)


def _tell_of_bank(
    payload: Mapping[str, Any], envelope: Mapping[str, Any], *, cause: Cause, at: datetime
) -> HandlingResult:
    """Sellers change their bank in Stripe's own pages. The first one, during the onboarding, is no change."""
    account = _account(str(envelope.get("account") or ""))
    if account is None:
        return HandlingResult(_result_of_unknown_account())
    if not account.details_submitted:
        return HandlingResult(Result.IGNORED, account.seller_id)
    digits = str(payload.get("last4") or "")
    last_digits = digits if len(digits) == LAST_DIGITS and digits.isalnum() else ""
    write_bank_email(account, event_id=str(envelope["id"]), last_digits=last_digits, at=_created_at(envelope, at=at))
    return HandlingResult(Result.OK, account.seller_id)


def _apply_payout(
    payload: Mapping[str, Any], envelope: Mapping[str, Any], *, cause: Cause, at: datetime
) -> HandlingResult:
    snapshot = parse_payout(payload)
    if not snapshot.our_id and not SellerPayout.objects.filter(external_payout_id=snapshot.payout_id).exists():
        # Stripe pays sellers out by its own schedule too: Veza has no part in those.
        return HandlingResult(Result.IGNORED)
    return apply_payout(snapshot, stripe_account_id=str(envelope.get("account") or ""), cause=cause, at=at)


def _schedule_refresh(account: ConnectedAccount, *, stale: bool) -> HandlingResult:
    ConnectedAccount.objects.filter(pk=account.pk).update(refresh_due_at=Now())
    return HandlingResult(Result.STALE if stale else Result.OK, account.seller_id)


def _result_of_unknown_account() -> Result:
    """An account of another platform's, or of another environment with the same endpoint, is none of ours. While a
    request to open one has no answer, it may be that one: the event is replayed.
    """
    unanswered = ConnectedAccount.objects.filter(stripe_account_id__isnull=True).exclude(country="")
    return Result.UNMATCHED if unanswered.exists() else Result.IGNORED


def _account(stripe_account_id: str) -> ConnectedAccount | None:
    return ConnectedAccount.objects.locked().filter(stripe_account_id=stripe_account_id).first()


def _created_at(envelope: Mapping[str, Any], *, at: datetime) -> datetime:
    """When Stripe made the event. One from the future would make every later snapshot a stale one."""
    seconds = envelope.get("created")
    if type(seconds) is not int or not 0 < seconds < at.timestamp() + _AHEAD.total_seconds():
        raise Unreadable("created should be the time of the event, in seconds")
    return datetime.fromtimestamp(seconds, UTC)


def _handler(handle: Callable[..., HandlingResult]) -> Handler:
    """Take the object out of the envelope, and ignore an event of the other mode, live or test."""

    def run(event: Event, *, cause: Cause, at: datetime) -> HandlingResult:
        if event.payload.get("livemode") is not settings.STRIPE_SECRET_KEY.startswith(("sk_live", "rk_live")):
            return HandlingResult(Result.IGNORED)
        data = event.payload.get("data")
        payload = data.get("object") if isinstance(data, Mapping) else None
        if not isinstance(payload, Mapping):
            raise UnreadableEvent("the event has no object")
        try:
            return handle(payload, event.payload, cause=cause, at=at)
        except Unreadable as error:
            raise UnreadableEvent(str(error)) from error

    return run


_READ_WHEN_NEEDED = "Stripe is asked for a balance when a payout needs it; none is stored."
# The types of which nothing of ours follows, each with the reason. Any other type is unknown: a review item.
IGNORED: Mapping[str, str] = {
    "account.application.authorized": "Veza opens its sellers' accounts itself, and refreshes them.",
    "payout.reconciliation_completed": "Which transactions a payout consists of changes nothing about its amount.",
    "balance.available": _READ_WHEN_NEEDED,
    "balance_settings.updated": _READ_WHEN_NEEDED,
}
HANDLERS: Mapping[str, Handler] = {
    "account.updated": _handler(_apply_account),
    "account.application.deauthorized": _handler(_revoke_access),
    "capability.updated": _handler(_apply_capability),
    **dict.fromkeys(
        (
            "account.external_account.created",
            "account.external_account.updated",
            "account.external_account.deleted",
        ),
        _handler(_tell_of_bank),
    ),
    "transfer.created": _handler(_book_lost_answer),
    "transfer.reversed": _handler(_schedule_transfer_refresh),
    "transfer.updated": _handler(_schedule_transfer_refresh),
    **dict.fromkeys(
        ("payout.created", "payout.updated", "payout.paid", "payout.failed", "payout.canceled"),
        _handler(_apply_payout),
    ),
    **dict.fromkeys(IGNORED, ignore_event),
}
