"""Stripe's webhooks: is it really from them, what does it say, and which verb keeps it.

Deliveries repeat and come in any order, and a handler calls nobody. What an event says is kept when nothing later is
known; whatever it says, the account or the transfer is read afterwards by a worker, and that reading counts.
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models.functions import Now

from connect.accounts import apply_account, is_old_news, revoke_access, wake_transfers
from connect.models import ConnectedAccount, SellerPayout, SellerTransfer
from connect.payouts import apply_payout
from connect.stripe.objects import Unreadable, parse_account, parse_payout, parse_transfer
from payments.inbox.intake import Event, Handler, HandlingResult, NotAnEvent, Result
from veza.core.causes import Cause
from veza.core.strict_json import strict_json

# How far a signature's time may be from ours, either way: a recording must not be played back later.
TOLERANCE = timedelta(seconds=300)


def is_signed_by_stripe(raw: bytes, header: str | None, *, secrets: Sequence[str], at: datetime) -> bool:
    """Whether `header` (`t=<unix>,v1=<hex>,…`) signs exactly these bytes under one of `secrets`, about now.

    Several `v1` stand there while a secret is being replaced, and the platform's and the Connect endpoint have one
    each. No secret means no.
    """
    pairs = [pair.partition("=") for pair in (header or "").split(",")]
    times = [value.strip() for name, _, value in pairs if name.strip() == "t"]
    given = [value.strip() for name, _, value in pairs if name.strip() == "v1"]
    if len(times) != 1 or not (times[0].isascii() and times[0].isdecimal()) or len(times[0]) > 12:
        return False
    if abs(at.timestamp() - int(times[0])) > TOLERANCE.total_seconds():
        return False
    signed = times[0].encode() + b"." + raw
    right = [hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() for secret in secrets if secret]
    return any(hmac.compare_digest(digest.encode(), one.encode()) for digest in right for one in given)


def read_event(raw: bytes) -> Event:
    """Read Stripe's envelope, which is kept whole: who it is for stands beside the object. Raises NotAnEvent."""
    try:
        envelope = strict_json(raw)
    except ValueError as error:
        raise NotAnEvent(str(error)) from error
    if not isinstance(envelope, Mapping) or envelope.get("object") != "event":
        raise NotAnEvent("the body is not an event")
    event_id, event_type = envelope.get("id"), envelope.get("type")
    if not isinstance(event_id, str) or not 0 < len(event_id) <= 100:
        raise NotAnEvent("the event has no id")
    if not isinstance(event_type, str) or not event_type:
        raise NotAnEvent("the event has no type")
    return Event(event_id, event_type, envelope)


def _account_updated(
    payload: Mapping[str, Any], envelope: Mapping[str, Any], *, cause: Cause, at: datetime
) -> HandlingResult:
    snapshot = parse_account(payload)
    account = _account(snapshot.account_id)
    if account is None:
        return HandlingResult(Result.UNMATCHED)
    old, created_at = is_old_news(account, _created_at(envelope)), _created_at(envelope)
    apply_account(seller_id=account.seller_id, snapshot=snapshot, at=created_at)
    return _nudged(account, old=old)


def _capability_updated(
    payload: Mapping[str, Any], envelope: Mapping[str, Any], *, cause: Cause, at: datetime
) -> HandlingResult:
    if payload.get("id") != "transfers":
        return HandlingResult(Result.IGNORED)
    account = _account(str(payload.get("account") or envelope.get("account") or ""))
    if account is None:
        return HandlingResult(Result.UNMATCHED)
    created_at = _created_at(envelope)
    old, active = is_old_news(account, created_at), payload.get("status") == "active"
    if not old:
        ConnectedAccount.objects.filter(pk=account.pk).update(
            transfers_active=active, described_at=created_at, updated_at=Now()
        )
        if active:
            wake_transfers(account.seller_id)
    return _nudged(account, old=old)


def _access_revoked(
    _said: Mapping[str, Any], envelope: Mapping[str, Any], *, cause: Cause, at: datetime
) -> HandlingResult:
    account = _account(str(envelope.get("account") or ""))
    if account is None:
        return HandlingResult(Result.UNMATCHED)
    revoke_access(account_id=account.pk)
    return HandlingResult(Result.OK, account.seller_id)


def _transfer_reversed(
    payload: Mapping[str, Any], _envelope: Mapping[str, Any], *, cause: Cause, at: datetime
) -> HandlingResult:
    snapshot = parse_transfer(payload)
    transfer = SellerTransfer.objects.filter(stripe_transfer_id=snapshot.transfer_id).first()
    if transfer is None:
        # Ours without an answer yet, or made by somebody else with our key: tried again, then a case.
        return HandlingResult(Result.UNMATCHED)
    if snapshot.reversed_minor > transfer.reversed_minor:
        SellerTransfer.objects.filter(pk=transfer.pk).update(refresh_due_at=Now())
    return HandlingResult(Result.OK, transfer.correlation_id)


def _payout_changed(
    payload: Mapping[str, Any], envelope: Mapping[str, Any], *, cause: Cause, at: datetime
) -> HandlingResult:
    snapshot = parse_payout(payload)
    if not snapshot.our_id and not SellerPayout.objects.filter(external_payout_id=snapshot.payout_id).exists():
        # Stripe pays sellers out by its own schedule too: that is between the two of them.
        return HandlingResult(Result.IGNORED)
    return apply_payout(snapshot, stripe_account_id=str(envelope.get("account") or ""), cause=cause, at=at)


def _nudged(account: ConnectedAccount, *, old: bool) -> HandlingResult:
    ConnectedAccount.objects.filter(pk=account.pk).update(refresh_due_at=Now())
    return HandlingResult(Result.STALE if old else Result.OK, account.seller_id)


def _account(stripe_account_id: str) -> ConnectedAccount | None:
    return ConnectedAccount.objects.locked().filter(stripe_account_id=stripe_account_id).first()


def _created_at(envelope: Mapping[str, Any]) -> datetime:
    created = envelope.get("created")
    if type(created) is not int or not 0 < created < 10**11:
        raise NotAnEvent("the event does not say when it was created")
    return datetime.fromtimestamp(created, UTC)


def _handler(handle: Callable[..., HandlingResult]) -> Handler:
    """Take the object out of the envelope, and see that it is about the world our key belongs to."""

    def handled(event: Event, *, cause: Cause, at: datetime) -> HandlingResult:
        if event.payload.get("livemode") is not settings.STRIPE_SECRET_KEY.startswith(("sk_live", "rk_live")):
            return HandlingResult(Result.IGNORED)
        data = event.payload.get("data")
        payload = data.get("object") if isinstance(data, Mapping) else None
        if not isinstance(payload, Mapping):
            raise NotAnEvent("the event has no object")
        try:
            return handle(payload, event.payload, cause=cause, at=at)
        except Unreadable as error:
            raise NotAnEvent(str(error)) from error

    return handled


HANDLERS: Mapping[str, Handler] = {
    "account.updated": _handler(_account_updated),
    "account.application.deauthorized": _handler(_access_revoked),
    "capability.updated": _handler(_capability_updated),
    "transfer.reversed": _handler(_transfer_reversed),
    "transfer.updated": _handler(_transfer_reversed),
    **dict.fromkeys(
        ("payout.created", "payout.updated", "payout.paid", "payout.failed", "payout.canceled"),
        _handler(_payout_changed),
    ),
}
