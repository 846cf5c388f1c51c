"""Reset, settings, faults on the wire, and the ground truth: what happened, whatever the answers said."""

from __future__ import annotations

from sandbox.control.params import read_params
from sandbox.exchange import Answer, Request, as_json
from sandbox.world import PLATFORM, World


def reset(world: World, _request: Request) -> Answer:
    world.reset()
    return as_json({"reset": True})


def show_settings(world: World, _request: Request) -> Answer:
    return as_json(world.settings.as_json())


def change_settings(world: World, request: Request) -> Answer:
    world.settings = world.settings.with_changes(read_params(request))
    return as_json(world.settings.as_json())


def arm_fault(world: World, request: Request) -> Answer:
    return as_json(world.faults.arm(read_params(request)).as_json(), 201)


def arm_mail_fault(world: World, request: Request) -> Answer:
    fault = world.mailbox.arm(read_params(request))
    return as_json({"fault": fault.kind, "times": fault.times}, 201)


def show_faults(world: World, _request: Request) -> Answer:
    return as_json({"faults": world.faults.as_json()})


def remove_faults(world: World, _request: Request) -> Answer:
    world.faults.clear()
    world.mailbox.faults.clear()
    return as_json({"faults": []})


def forget_idempotency_keys(world: World, _request: Request) -> Answer:
    return as_json({"forgotten": world.keys.forget()})


def show_truth(world: World, _request: Request) -> Answer:
    accounts = {owner: balance for owner, balance in world.balances.items() if owner is not None}
    return as_json(
        {
            "movements": world.truth.movements_as_json(),
            "totals": world.truth.totals(),
            "balances": {"platform": world.balances[PLATFORM], "accounts": accounts},
            "calls": dict(world.truth.counts),
        }
    )


def show_objects(world: World, _request: Request) -> Answer:
    """Every object as its provider has it now, whatever was reported to the shop."""
    return as_json(
        {
            "payments": [payment.as_json() for payment in world.payments.values()],
            "refunds": [refund.as_json() for refund in world.refunds.values()],
            "disputes": [dispute.as_json() for dispute in world.disputes.values()],
            "transfers": [transfer.as_json() for transfer in world.transfers.values()],
        }
    )


def show_calls(world: World, _request: Request) -> Answer:
    """The most recent calls, oldest first, without secrets, bodies or query strings."""
    return as_json({"calls": world.truth.calls_as_json()})
