"""Looking at webhooks, and sending them when and as often as asked."""

from __future__ import annotations

from sandbox.control.asked import known, read_asked
from sandbox.control.door import ControlError
from sandbox.deliveries import Event
from sandbox.exchange import Answer, Request, as_json
from sandbox.world import World


def show_webhooks(world: World, _request: Request) -> Answer:
    return as_json({"events": [event.as_json() for event in world.deliveries.events.values()]})


def arm_webhook_fault(world: World, request: Request) -> Answer:
    return as_json(world.deliveries.arm(read_asked(request)).as_json(), 201)


def show_webhook_faults(world: World, _request: Request) -> Answer:
    return as_json({"faults": [fault.as_json() for fault in world.deliveries.faults]})


def remove_webhook_faults(world: World, _request: Request) -> Answer:
    world.deliveries.faults.clear()
    return as_json({"faults": []})


def release(world: World, request: Request) -> Answer:
    """Send what is held, one after another in this order. Answers when the last one has been answered."""
    asked = read_asked(request, ("order",))
    with world.lock:
        events = _in_order(world, asked.get("order", "fifo"))
        for event in events:
            event.status = "waiting"  # so that a second release does not send it as well
    return as_json({"sent": [{"event_id": e.event_id, **world.deliveries.send(e)} for e in events]})


def send_again(world: World, _request: Request, event_id: str) -> Answer:
    """One more attempt with the stored body, whatever became of the others."""
    with world.lock:
        event = known(world.deliveries.events, event_id, "event")
    return as_json({"event_id": event_id, **world.deliveries.send(event)})


def _in_order(world: World, order: object) -> list[Event]:
    held = world.deliveries.held()
    if order in ("fifo", "lifo"):
        return held if order == "fifo" else held[::-1]
    if not isinstance(order, list):
        raise ControlError("order is fifo, lifo or a list of event ids")
    return [known(world.deliveries.events, event_id, "event") for event_id in order]
