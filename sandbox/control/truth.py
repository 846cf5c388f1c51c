"""`/_truth`: the oracle for tests. Everything here is what happened, whatever was answered."""

from __future__ import annotations

from sandbox.exchange import Answer, Request, as_json
from sandbox.world import PLATFORM, World


def show_truth(world: World, _request: Request) -> Answer:
    accounts = {owner: held for owner, held in world.balances.items() if owner is not None}
    return as_json(
        {
            "movements": world.truth.movements_as_json(),
            "totals": world.truth.totals(),
            "balances": {"platform": world.balances[PLATFORM], "accounts": accounts},
            "calls": dict(world.truth.counts),
        }
    )


def show_calls(world: World, _request: Request) -> Answer:
    """The most recent calls, oldest first; without secrets, bodies or query strings."""
    return as_json({"calls": world.truth.calls_as_json()})
