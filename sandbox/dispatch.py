"""From a request to a reply: the door, the armed fault, the handler under the lock, the books."""

from __future__ import annotations

import time
import traceback
from dataclasses import dataclass

from sandbox import routes
from sandbox.clock import now, stamp
from sandbox.exchange import Answer, Reply, Request, as_json
from sandbox.faults import HTML, Fault
from sandbox.hyperswitch import door as hyperswitch
from sandbox.stripe import door as stripe
from sandbox.truth import Call
from sandbox.world import World


@dataclass
class Dispatcher:
    world: World

    def reply_to(self, request: Request) -> Reply:
        """Never raises: a bug of ours is a 500, as it would be theirs."""
        found = routes.find(request.method, request.path)
        try:
            if found.route is None:
                return Reply(found.door.dress(request, self._unknown(request, found)))
            if found.door is routes.CONTROL:
                return Reply(self._run(found, found.route, request))
            return self._serve(found, found.route, request)
        except Exception:
            traceback.print_exc()
            return Reply(as_json({"error": "the sandbox itself failed; see its output"}, 500))

    def _serve(self, found: routes.Found, route: routes.Route, request: Request) -> Reply:
        """A call to a provider, with whatever fault is armed for it."""
        world, door = self.world, found.door
        with world.lock:
            call = _call(request, route, found.ids)
            world.truth.called(call)
            fault = world.faults.take(request.method, request.path)
            call.fault = fault.kind if fault else None
            answer = door.open(world, request)
        opened = answer is None
        if armed := _waited(fault, "before"):
            reply = self._spoil(armed, request, door, answer or as_json({}))
            self._close(found, request, None, opened)
        else:
            answer = answer or self._execute(found, route, request, call)
            armed = _waited(fault, "after")
            reply = self._spoil(armed, request, door, answer)
            self._close(found, request, answer, opened)
        call.status = reply.answer.status if reply.sent == "whole" else None
        return reply

    def _spoil(self, fault: Fault | None, request: Request, door: routes.Door, answer: Answer) -> Reply:
        if fault is None:
            return Reply(door.dress(request, answer))
        if fault.kind == "status":
            return Reply(door.dress(request, _refusal(fault, door)))
        return _spoilt(fault, door.dress(request, answer))

    def _close(self, found: routes.Found, request: Request, answer: Answer | None, opened: bool) -> None:
        """Only now, after the waiting: until its answer leaves, a call is in progress."""
        if opened:
            with self.world.lock:
                found.door.close(self.world, request, answer)

    def _execute(self, found: routes.Found, route: routes.Route, request: Request, call: Call) -> Answer:
        try:
            answer = self._run(found, route, request)
        except Exception:
            with self.world.lock:
                found.door.close(self.world, request, None)
            raise
        call.executed = answer.status < 400
        return answer

    def _run(self, found: routes.Found, route: routes.Route, request: Request) -> Answer:
        world = self.world
        if found.door is routes.CONTROL and (refusal := found.door.open(world, request)):
            return refusal

        def execute() -> Answer:
            if not route.locked:
                return route.handler(world, request, *found.ids)
            with world.lock:
                return route.handler(world, request, *found.ids)

        return found.door.perform(request, execute)

    def _unknown(self, request: Request, found: routes.Found) -> Answer:
        with self.world.lock:
            early = found.door.open(self.world, request)
            if early is None:
                found.door.close(self.world, request, None)
        if early is not None:
            return early
        if found.door is routes.CONTROL:
            return as_json({"error": "no such control"}, 405 if found.wrong_method else 404)
        if found.door is routes.STRIPE:
            return (stripe.WRONG_METHOD if found.wrong_method else stripe.NO_SUCH_URL).answer()
        return (hyperswitch.WRONG_METHOD if found.wrong_method else hyperswitch.NO_SUCH_URL).answer()


def _call(request: Request, route: routes.Route, ids: tuple[str, ...]) -> Call:
    named = ids[-1] if ids else None
    if named is None and route.door is routes.HYPERSWITCH:
        named = hyperswitch.id_in(request)
    key = request.headers.get("idempotency-key")
    return Call(request.method, request.path, route.template, named, key, stamp(now()))


def _waited(fault: Fault | None, when: str) -> Fault | None:
    """The fault if it acts at this moment, its seconds already slept."""
    if fault is None or fault.when != when:
        return None
    time.sleep(fault.seconds)
    return None if fault.kind == "latency" else fault


def _spoilt(fault: Fault, answer: Answer) -> Reply:
    """What such a fault makes of an answer."""
    if fault.kind == "drop":
        return Reply(answer, "nothing")
    if fault.kind == "half_body":
        return Reply(answer, "half")
    if fault.kind == "wrong_json":
        return Reply(Answer(200, b'{"unexpected": [1, 2', fault.headers))
    return Reply(Answer(502 if fault.status == 500 else fault.status, HTML, fault.headers, "text/html"))


def _refusal(fault: Fault, door: routes.Door) -> Answer:
    answer = door.trouble(fault.status)
    if isinstance(fault.body, str):
        answer = Answer(fault.status, fault.body.encode(), content_type="text/plain; charset=utf-8")
    elif fault.body is not None:
        answer = as_json(fault.body, fault.status)
    return answer.with_headers(fault.headers)
