"""The three lists, each with its own filters and its own shape of an answer."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from datetime import datetime

from sandbox.exchange import Answer, Request, as_json
from sandbox.hyperswitch import bodies
from sandbox.hyperswitch.errors import HyperswitchError, UnreadableBody, no_payment
from sandbox.hyperswitch.objects import Dispute, Payment, Refund
from sandbox.world import World

_REFUND_STATUSES = {
    "success": "succeeded",
    "failure": "failed",
    "pending": "pending",
    "manual_review": "review",
    "transaction_failure": "failed",
}
_BOUNDS: Mapping[str, Callable[[datetime, datetime], bool]] = {
    "created": operator.eq,
    "created.lt": operator.lt,
    "created.gt": operator.gt,
    "created.lte": operator.le,
    "created.gte": operator.ge,
}
_PAYMENT_FILTERS = {"customer_id", "starting_after", "ending_before", "limit", *_BOUNDS}
_DISPUTE_FILTERS = {
    "dispute_id": "dispute_id",
    "payment_id": "payment_id",
    "dispute_status": "dispute_status",
    "dispute_stage": "dispute_stage",
    "connector": "connector",
    "currency": "currency",
    "profile_id": "profile_id",
    "reason": "connector_reason",
}


def list_payments(world: World, request: Request) -> Answer:
    """`GET /payments/list`: newest first, filters on the creation time only, payment ids as cursors."""
    asked = dict(request.query_pairs())
    if unknown := set(asked) - _PAYMENT_FILTERS:
        raise HyperswitchError(400, "IR_06", f"unknown field `{unknown.pop()}`")
    found: list[Payment] = list(reversed(world.payments.values()))
    found = _after_cursor(world, found, asked)
    chosen = [payment for payment in found if _payment_fits(payment, asked)][: _limit(asked.get("limit"))]
    data = [payment.as_json() for payment in chosen]
    return as_json({"size": len(data), "data": data})


def list_refunds(world: World, request: Request) -> Answer:
    asked = bodies.read_body(request, bodies.REFUND_LIST)
    start, end = _time(asked.get("start_time")), _time(asked.get("end_time"))
    statuses = {_refund_status(name) for name in asked.get("refund_status", [])}
    amounts = asked.get("amount_filter", {})

    def fits(refund: Refund) -> bool:
        return (
            asked.get("payment_id") in (None, refund.payment_id)
            and asked.get("refund_id") in (None, refund.refund_id)
            and asked.get("profile_id") in (None, refund.profile_id)
            and (not statuses or refund.status in statuses)
            and (not asked.get("currency") or refund.currency in asked["currency"])
            and amounts.get("start_amount", 0) <= refund.amount <= amounts.get("end_amount", refund.amount)
            # An end without a start has no effect.
            and (start is None or (start <= refund.created and (end is None or refund.created <= end)))
        )

    found = [refund for refund in reversed(world.refunds.values()) if fits(refund)]
    offset = asked.get("offset", 0)
    data = [refund.as_json() for refund in found[offset : offset + _limit(asked.get("limit"))]]
    return as_json({"count": len(data), "total_count": len(found), "data": data})


def list_disputes(world: World, request: Request) -> Answer:
    """`GET /disputes/list`: a bare array."""
    asked = dict(request.query_pairs())
    if unknown := set(asked) - set(_DISPUTE_FILTERS) - {"limit", "offset", "start_time", "end_time"}:
        raise HyperswitchError(400, "IR_06", f"unknown field `{unknown.pop()}`")
    start, end = _time(asked.get("start_time")), _time(asked.get("end_time"))
    found = [
        dispute
        for dispute in reversed(world.disputes.values())
        if _dispute_fits(dispute, asked)
        and (start is None or start <= dispute.created)
        and (end is None or dispute.created <= end)
    ]
    offset = _integer(asked.get("offset", "0"))
    return as_json([dispute.as_json() for dispute in found[offset : offset + _limit(asked.get("limit"), 1000)]])


def _payment_fits(payment: Payment, asked: dict[str, str]) -> bool:
    if asked.get("customer_id") not in (None, payment.customer_id):
        return False
    bounds = ((fits, _time(asked.get(name))) for name, fits in _BOUNDS.items())
    return all(at is None or fits(payment.created, at) for fits, at in bounds)


def _dispute_fits(dispute: Dispute, asked: dict[str, str]) -> bool:
    shown = dispute.as_json()
    return all(shown[field] in asked[name].split(",") for name, field in _DISPUTE_FILTERS.items() if name in asked)


def _after_cursor(world: World, found: list[Payment], asked: dict[str, str]) -> list[Payment]:
    """`found` is newest first: after a cursor come the older ones."""
    for name in ("starting_after", "ending_before"):
        if name not in asked:
            continue
        if asked[name] not in world.payments:
            raise no_payment()
        place = found.index(world.payments[asked[name]])
        found = found[place + 1 :] if name == "starting_after" else found[:place]
    return found


def _limit(asked: object, default: int = 10) -> int:
    limit = default if asked is None else _integer(asked)
    if not 1 <= limit <= max(100, default):
        raise HyperswitchError(422, "IR_05", "limit contains invalid data. Expected format is 1 to 100")
    return limit


def _integer(value: object) -> int:
    try:
        return int(str(value))
    except ValueError:
        raise HyperswitchError(400, "IR_06", f"invalid digit found in `{value}`") from None


def _refund_status(name: object) -> str:
    if name not in _REFUND_STATUSES:
        raise UnreadableBody(f"unknown variant `{name}`, expected one of {', '.join(_REFUND_STATUSES)}")
    return _REFUND_STATUSES[str(name)]


def _time(value: str | None) -> datetime | None:
    if value is None:
        return None
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        raise HyperswitchError(400, "IR_06", f"`{value}` is no ISO 8601 time") from None
    if at.tzinfo is None:
        raise HyperswitchError(400, "IR_06", f"`{value}` has no time zone")
    return at
