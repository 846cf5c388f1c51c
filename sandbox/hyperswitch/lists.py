"""The lists of payments and refunds, each with its own filters and answer format."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from datetime import datetime

from sandbox.exchange import Answer, Request, as_json
from sandbox.hyperswitch import bodies
from sandbox.hyperswitch.errors import HyperswitchError, UnreadableBody, no_payment
from sandbox.hyperswitch.objects import Payment, Refund
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


def list_payments(world: World, request: Request) -> Answer:
    """`GET /payments/list`: newest first, filters on the creation time only, payment ids as cursors."""
    params = dict(request.query_pairs())
    if unknown := set(params) - _PAYMENT_FILTERS:
        raise HyperswitchError(400, "IR_06", f"unknown field `{unknown.pop()}`")
    matches: list[Payment] = list(reversed(world.payments.values()))
    matches = _after_cursor(world, matches, params)
    page = [payment for payment in matches if _payment_fits(payment, params)][: read_limit(params.get("limit"))]
    data = [payment.as_json() for payment in page]
    return as_json({"size": len(data), "data": data})


def list_refunds(world: World, request: Request) -> Answer:
    params = bodies.read_body(request, bodies.REFUND_LIST)
    start, end = read_time(params.get("start_time")), read_time(params.get("end_time"))
    statuses = {_refund_status(name) for name in params.get("refund_status", [])}
    amounts = params.get("amount_filter", {})

    def fits(refund: Refund) -> bool:
        return (
            params.get("payment_id") in (None, refund.payment_id)
            and params.get("refund_id") in (None, refund.refund_id)
            and params.get("profile_id") in (None, refund.profile_id)
            and (not statuses or refund.status in statuses)
            and (not params.get("currency") or refund.currency in params["currency"])
            and amounts.get("start_amount", 0) <= refund.amount <= amounts.get("end_amount", refund.amount)
            # An end without a start is ignored.
            and (start is None or (start <= refund.created_at and (end is None or refund.created_at <= end)))
        )

    matches = [refund for refund in reversed(world.refunds.values()) if fits(refund)]
    offset = params.get("offset", 0)
    data = [refund.as_json() for refund in matches[offset : offset + read_limit(params.get("limit"))]]
    return as_json({"count": len(data), "total_count": len(matches), "data": data})


def _payment_fits(payment: Payment, params: dict[str, str]) -> bool:
    if params.get("customer_id") not in (None, payment.customer_id):
        return False
    bounds = ((fits, read_time(params.get(name))) for name, fits in _BOUNDS.items())
    return all(at is None or fits(payment.created_at, at) for fits, at in bounds)


def _after_cursor(world: World, matches: list[Payment], params: dict[str, str]) -> list[Payment]:
    """`matches` are newest first: the older ones follow a cursor."""
    for name in ("starting_after", "ending_before"):
        if name not in params:
            continue
        if params[name] not in world.payments:
            raise no_payment()
        place = matches.index(world.payments[params[name]])
        matches = matches[place + 1 :] if name == "starting_after" else matches[:place]
    return matches


def read_limit(value: object, default: int = 10) -> int:
    limit = default if value is None else read_integer(value)
    if not 1 <= limit <= max(100, default):
        raise HyperswitchError(422, "IR_05", "limit contains invalid data. Expected format is 1 to 100")
    return limit


def read_integer(value: object) -> int:
    try:
        return int(str(value))
    except ValueError:
        raise HyperswitchError(400, "IR_06", f"invalid digit found in `{value}`") from None


def _refund_status(name: object) -> str:
    if name not in _REFUND_STATUSES:
        raise UnreadableBody(f"unknown variant `{name}`, expected one of {', '.join(_REFUND_STATUSES)}")
    return _REFUND_STATUSES[str(name)]


def read_time(value: str | None) -> datetime | None:
    if value is None:
        return None
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        raise HyperswitchError(400, "IR_06", f"`{value}` is not an ISO 8601 time") from None
    if at.tzinfo is None:
        raise HyperswitchError(400, "IR_06", f"`{value}` has no time zone")
    return at
