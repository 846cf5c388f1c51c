"""The only place that talks to Hyperswitch: our words in, one of four outcomes out. Nothing here touches the database.

Hyperswitch has no idempotency header of its own: what makes a repeated request harmless is the id we choose for the
payment or refund. Any refusal may follow an insert (asking again for a full refund under the same id answers "exceeds
the amount captured", not "duplicate"), so a refusal is believed only when reading our id says that it does not exist.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar
from urllib.parse import quote, urlencode

import requests
from django.conf import settings

from payments.hyperswitch.currencies import HYPERSWITCH_AMOUNTS
from payments.hyperswitch.objects import (
    RemoteDispute,
    RemotePayment,
    RemoteRefund,
    Unreadable,
    parse_dispute,
    parse_payment,
    parse_refund,
)
from veza.core.http import StatusClass, classify_status, never_connected, read_bounded, session_for
from veza.core.outcomes import Accepted, Call, NotSent, Outcome, Refused, Unknown
from veza.core.rate import wait_for_turn
from veza.core.wire_amounts import Inexpressible

MAX_ANSWER_BYTES = 1_000_000
PAGE = 100  # What a list gives at most.
DOES_NOT_EXIST = "HE_02"
AMOUNT_NOT_EXACT = "amount_not_exact"  # Our own word: the provider has no integer for this amount.
_BUSY = "HE_00"  # With 422: another call holds the lock on this payment.

Snapshot = TypeVar("Snapshot")
Timed = TypeVar("Timed", RemotePayment, RemoteRefund)
Fields = Mapping[str, Any]
Answer = Any  # What the JSON held: an object, or a list of them.


@dataclass(frozen=True)
class Page(Generic[Snapshot]):
    """One page of a list, and where the next one starts; "" after the last."""

    entries: list[Snapshot | Unreadable]
    next_start: str


def create_payment(fields: Mapping[str, Any], *, idempotency_key: str) -> Outcome[RemotePayment]:
    """Make a payment of `fields["amount"]` minor units under `fields["payment_id"]`, or find the one that exists."""
    outcome = _post_amount("/payments", fields, fields["currency"], idempotency_key=idempotency_key)
    snapshot = _parse_answer(outcome, parse_payment, fields["payment_id"], lambda snapshot: snapshot.payment_id)
    return _unless_it_exists(snapshot, lambda: read_payment(fields["payment_id"]))


def read_payment(payment_id: str, *, force_sync: bool = False) -> Outcome[RemotePayment]:
    """Read our payment. Refused with HE_02 means that Hyperswitch does not have it."""
    query = "?force_sync=true" if force_sync else ""
    outcome = _call("GET", f"/payments/{payment_id}{query}")
    return _with_time(_parse_answer(outcome, parse_payment, payment_id, lambda snapshot: snapshot.payment_id))


def cancel_payment(payment_id: str, *, reason: str, idempotency_key: str) -> Outcome[RemotePayment]:
    """Close an unpaid payment. Refused means that it stays as it is; reading it shows its status."""
    outcome = _post(f"/payments/{payment_id}/cancel", {"cancellation_reason": reason}, idempotency_key=idempotency_key)
    return _with_time(_parse_answer(outcome, parse_payment, payment_id, lambda snapshot: snapshot.payment_id))


def create_refund(fields: Mapping[str, Any], *, currency: str, idempotency_key: str) -> Outcome[RemoteRefund]:
    """Refund `fields["amount"]` minor units of `currency` under `fields["refund_id"]`, or find the one that exists.

    The amount is required: without one, Hyperswitch refunds everything.
    """
    assert type(fields["amount"]) is int, "a refund always has an amount"
    assert fields["amount"] > 0, "a refund pays the buyer something"
    outcome = _post_amount("/refunds", fields, currency, idempotency_key=idempotency_key)
    snapshot = _parse_answer(outcome, parse_refund, fields["refund_id"], lambda snapshot: snapshot.refund_id)
    return _unless_it_exists(snapshot, lambda: read_refund(fields["refund_id"]))


def read_refund(refund_id: str, *, force_sync: bool = False) -> Outcome[RemoteRefund]:
    """Read our refund. Refused with HE_02 means that Hyperswitch does not have it."""
    query = "?force_sync=true" if force_sync else ""
    outcome = _call("GET", f"/refunds/{refund_id}{query}")
    return _with_time(_parse_answer(outcome, parse_refund, refund_id, lambda snapshot: snapshot.refund_id))


def read_dispute(dispute_id: str) -> Outcome[RemoteDispute]:
    """Read a dispute."""
    outcome = _call("GET", f"/disputes/{quote(dispute_id, safe='')}")
    return _parse_answer(outcome, parse_dispute, dispute_id, lambda snapshot: snapshot.dispute_id)


def delete_payment_method(payment_method_id: str) -> Outcome[Answer]:
    """Delete a saved method. Refused with HE_02 means that Hyperswitch does not have it, or not any more."""
    return _call("DELETE", f"/payment_methods/{quote(payment_method_id, safe='')}")


def list_payments(*, since: datetime, until: datetime, start: str = "") -> Outcome[Page[RemotePayment]]:
    """One page of the payments made between two times, newest first; the next one starts after the last id."""
    bounds = {"created.gte": _format_time(since), "created.lte": _format_time(until), "limit": PAGE}
    params = urlencode(bounds | ({"starting_after": start} if start else {}))
    outcome = _call("GET", f"/payments/list?{params}")
    return _with_times(_parse_list(outcome, "data", parse_payment, lambda rows: str(rows[-1].get("payment_id", ""))))


def list_refunds(*, since: datetime, until: datetime, start: str = "") -> Outcome[Page[RemoteRefund]]:
    """One page of the refunds made between two times; the next one starts at an offset."""
    offset = int(start or 0)
    params = {"start_time": _format_time(since), "end_time": _format_time(until), "limit": PAGE, "offset": offset}
    outcome = _call("POST", "/refunds/list", body=params)
    return _with_times(_parse_list(outcome, "data", parse_refund, lambda rows: str(offset + len(rows))))


def list_disputes(*, since: datetime, until: datetime, start: str = "") -> Outcome[Page[RemoteDispute]]:
    """One page of the disputes opened between two times; the next one starts at an offset."""
    offset = int(start or 0)
    params = urlencode(
        {"start_time": _format_time(since), "end_time": _format_time(until), "limit": PAGE, "offset": offset}
    )
    outcome = _call("GET", f"/disputes/list?{params}")
    return _parse_list(outcome, None, parse_dispute, lambda rows: str(offset + len(rows)))


def _parse_list(
    outcome: Outcome[Answer],
    key: str | None,
    parse: Callable[[Fields], Snapshot],
    next_start: Callable[[list[Any]], str],
) -> Outcome[Page[Snapshot]]:
    if not isinstance(outcome, Accepted):
        return outcome
    rows = outcome.value.get(key) if key and isinstance(outcome.value, Mapping) else outcome.value
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        return Unknown("the answer is not a list of objects", outcome.call)
    entries = [_parse_entry(row, parse) for row in rows]
    return Accepted(Page(entries, next_start(rows) if len(rows) >= PAGE else ""), outcome.call)


def _parse_entry(row: Fields, parse: Callable[[Fields], Snapshot]) -> Snapshot | Unreadable:
    try:
        return parse(row)
    except Unreadable as error:
        return error


def _format_time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _parse_answer(
    outcome: Outcome[Answer], parse: Callable[[Fields], Snapshot], our_id: str, id_of: Callable[[Snapshot], str]
) -> Outcome[Snapshot]:
    if not isinstance(outcome, Accepted):
        return outcome
    if not isinstance(outcome.value, Mapping):
        return Unknown("the answer could not be read", outcome.call)
    try:
        snapshot = parse(outcome.value)
    except Unreadable as error:
        return Unknown(f"the answer could not be read: {error}", outcome.call)
    if id_of(snapshot) != our_id:
        return Unknown("the answer is not about our id", outcome.call)
    return Accepted(snapshot, outcome.call)


def _with_time(outcome: Outcome[Timed]) -> Outcome[Timed]:
    """The answer with the time at which its request was sent, by our clock."""
    if not isinstance(outcome, Accepted):
        return outcome
    return Accepted(replace(outcome.value, read_at=_time_of(outcome.call)), outcome.call)


def _with_times(outcome: Outcome[Page[Timed]]) -> Outcome[Page[Timed]]:
    """The same for every object of a list: each of them was read."""
    if not isinstance(outcome, Accepted):
        return outcome
    read_at = _time_of(outcome.call)
    entries = [one if isinstance(one, Unreadable) else replace(one, read_at=read_at) for one in outcome.value.entries]
    return Accepted(replace(outcome.value, entries=entries), outcome.call)


def _time_of(call: Call) -> datetime:
    return datetime.now(UTC) - timedelta(milliseconds=call.milliseconds)


def _unless_it_exists(outcome: Outcome[Snapshot], read: Callable[[], Outcome[Snapshot]]) -> Outcome[Snapshot]:
    """Believe a refusal only when reading our id says that it does not exist."""
    if not isinstance(outcome, Refused):
        return outcome
    existing = read()
    match existing:
        case Accepted():
            return existing
        case Refused(code=code) if code == DOES_NOT_EXIST:
            return outcome
        case _:
            return Unknown(f"refused ({outcome.code}), and reading it gave no answer", outcome.call)


def _post_amount(path: str, fields: Fields, currency: str, *, idempotency_key: str) -> Outcome[Answer]:
    """Post the fields with their amount as Hyperswitch writes it; what it cannot write is refused without a call."""
    try:
        amount = HYPERSWITCH_AMOUNTS.to_wire(fields["amount"], currency)
    except Inexpressible as error:
        return Refused(AMOUNT_NOT_EXACT, f"{error}.", Call("hyperswitch", "POST", path, 0, 0))
    return _post(path, {**fields, "amount": amount}, idempotency_key=idempotency_key)


def _post(path: str, fields: Mapping[str, Any], *, idempotency_key: str) -> Outcome[Answer]:
    if not idempotency_key.strip():
        raise ValueError(f"POST {path} without an idempotency key: it must be the id of the row it is sent for")
    return _call("POST", path, body=fields, headers={"Idempotency-Key": idempotency_key})


def _call(
    method: str, path: str, *, body: Fields | None = None, headers: Mapping[str, str] | None = None
) -> Outcome[Answer]:
    def call(status: int = 0) -> Call:
        return Call("hyperswitch", method, path.partition("?")[0], status, round((time.monotonic() - start) * 1000))

    start = time.monotonic()
    if not settings.HYPERSWITCH_ENABLED or not settings.HYPERSWITCH_API_KEY:
        return NotSent("Hyperswitch is switched off: set HYPERSWITCH_ENABLED and HYPERSWITCH_API_KEY", call())
    wait_for_turn("hyperswitch", per_second=settings.HYPERSWITCH_RATE_PER_SECOND)
    start = time.monotonic()  # Queueing for our turn is not the provider's time.
    try:
        with session_for("hyperswitch").request(
            method,
            f"{settings.HYPERSWITCH_BASE_URL}{path}",
            json=body,
            headers={"api-key": settings.HYPERSWITCH_API_KEY, **(headers or {})},
            timeout=(3.05, 10),
            allow_redirects=False,
            stream=True,
        ) as response:
            deadline = start + settings.HYPERSWITCH_DEADLINE_SECONDS
            raw = read_bounded(response, limit=MAX_ANSWER_BYTES, deadline=deadline)
    except requests.RequestException as error:
        if never_connected(error):
            return NotSent("Hyperswitch could not be reached", call())
        return Unknown(f"no answer: {type(error).__name__}", call())
    return _judge(response.status_code, raw, call(response.status_code))


def _judge(status: int, raw: bytes | None, call: Call) -> Outcome[Answer]:
    payload = _parse(raw)
    error = payload.get("error") if isinstance(payload, dict) else None
    code = str(error.get("code", "")) if isinstance(error, dict) else ""
    match classify_status(status):
        case StatusClass.SUCCESS if isinstance(payload, dict | list):
            return Accepted(payload, call)
        case StatusClass.SUCCESS:
            return Unknown("the answer could not be read", call)
        case StatusClass.AUTH_REJECTED:
            return NotSent(f"Hyperswitch rejected our key ({status} {code}): check HYPERSWITCH_API_KEY", call)
        case StatusClass.REFUSED if code and isinstance(error, dict) and not (status == 422 and code == _BUSY):
            return Refused(code, str(error.get("message", ""))[:500], call)
        case _:
            return Unknown(f"Hyperswitch answered {status} {code}".strip(), call)


def _parse(raw: bytes | None) -> Answer:
    try:
        return json.loads(raw) if raw is not None else None
    except (ValueError, RecursionError):
        return None
