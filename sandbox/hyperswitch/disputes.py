"""`/disputes`: read and list. Banks open disputes; here the control API does."""

from __future__ import annotations

from sandbox.exchange import Answer, Request, as_json
from sandbox.hyperswitch.errors import HyperswitchError, no_dispute
from sandbox.hyperswitch.lists import read_integer, read_limit, read_time
from sandbox.hyperswitch.objects import Dispute
from sandbox.world import World

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


def read_dispute(world: World, _request: Request, dispute_id: str) -> Answer:
    dispute = world.disputes.get(dispute_id)
    if dispute is None:
        raise no_dispute(dispute_id)
    return as_json(dispute.as_json())


def list_disputes(world: World, request: Request) -> Answer:
    """`GET /disputes/list`: a bare array."""
    params = dict(request.query_pairs())
    if unknown := set(params) - set(_DISPUTE_FILTERS) - {"limit", "offset", "start_time", "end_time"}:
        raise HyperswitchError(400, "IR_06", f"unknown field `{unknown.pop()}`")
    start, end = read_time(params.get("start_time")), read_time(params.get("end_time"))
    matches = [
        dispute
        for dispute in reversed(world.disputes.values())
        if _dispute_fits(dispute, params)
        and (start is None or start <= dispute.created_at)
        and (end is None or dispute.created_at <= end)
    ]
    offset = read_integer(params.get("offset", "0"))
    return as_json([dispute.as_json() for dispute in matches[offset : offset + read_limit(params.get("limit"), 1000)]])


def _dispute_fits(dispute: Dispute, params: dict[str, str]) -> bool:
    body = dispute.as_json()
    return all(body[field] in params[name].split(",") for name, field in _DISPUTE_FILTERS.items() if name in params)
