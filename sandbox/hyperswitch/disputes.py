"""`/disputes/{dispute_id}`: disputes are opened by banks, here by the control API."""

from __future__ import annotations

from sandbox.exchange import Answer, Request, as_json
from sandbox.hyperswitch.errors import no_dispute
from sandbox.world import World


def read_dispute(world: World, _request: Request, dispute_id: str) -> Answer:
    dispute = world.disputes.get(dispute_id)
    if dispute is None:
        raise no_dispute(dispute_id)
    return as_json(dispute.as_json())
