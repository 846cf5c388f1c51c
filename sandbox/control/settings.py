"""Reset, settings, and the faults to come."""

from __future__ import annotations

from sandbox.control.asked import read_asked
from sandbox.exchange import Answer, Request, as_json
from sandbox.world import World


def reset(world: World, _request: Request) -> Answer:
    world.reset()
    return as_json({"reset": True})


def show_settings(world: World, _request: Request) -> Answer:
    return as_json(world.settings.as_json())


def change_settings(world: World, request: Request) -> Answer:
    world.settings = world.settings.changed(read_asked(request))
    return as_json(world.settings.as_json())


def arm_fault(world: World, request: Request) -> Answer:
    return as_json(world.faults.arm(read_asked(request)).as_json(), 201)


def show_faults(world: World, _request: Request) -> Answer:
    return as_json({"faults": world.faults.as_json()})


def remove_faults(world: World, _request: Request) -> Answer:
    world.faults.clear()
    return as_json({"faults": []})


def forget_idempotency_keys(world: World, _request: Request) -> Answer:
    return as_json({"forgotten": world.keys.forget()})
