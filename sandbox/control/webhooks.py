"""Lists webhooks, and sends them on request."""

from __future__ import annotations

from sandbox.control.door import ControlError
from sandbox.control.params import find_object, read_params
from sandbox.deliveries import Event
from sandbox.exchange import Answer, Request, as_json
from sandbox.world import World


def show_webhooks(world: World, _request: Request) -> Answer:
    return as_json({"events": [event.as_json() for event in world.deliveries.events.values()]})


def arm_webhook_fault(world: World, request: Request) -> Answer:
    return as_json(world.deliveries.arm(read_params(request)).as_json(), 201)


def show_webhook_faults(world: World, _request: Request) -> Answer:
    return as_json({"faults": [fault.as_json() for fault in world.deliveries.faults]})


def remove_webhook_faults(world: World, _request: Request) -> Answer:
    world.deliveries.faults.clear()
    return as_json({"faults": []})


def release(world: World, request: Request) -> Answer:
    """Send the webhooks on hold one after another, in this order; answer after the last response."""
    params = read_params(request, ("order",))
    with world.lock:
        events = _select_in_order(world, params.get("order", "fifo"))
        for event in events:
            event.status = "waiting"  # so that a second release does not send it as well
    return as_json({"sent": [{"event_id": e.event_id, **world.deliveries.send(e)} for e in events]})


def send_again(world: World, _request: Request, event_id: str) -> Answer:
    """One more attempt with the stored body, whatever the earlier ones led to."""
    with world.lock:
        event = find_object(world.deliveries.events, event_id, "event")
    return as_json({"event_id": event_id, **world.deliveries.send(event)})


def _select_in_order(world: World, order: object) -> list[Event]:
    events = world.deliveries.list_held()
    if order in ("fifo", "lifo"):
        return events if order == "fifo" else events[::-1]
    if not isinstance(order, list):
        raise ControlError("order is fifo, lifo or a list of event ids")
    return [find_object(world.deliveries.events, event_id, "event") for event_id in order]
