"""From a request to a reply: the door, the fault, the handler under the lock, the call log."""

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
        """Never raises: a bug in the sandbox is answered with a 500, as a bug at the provider would be."""
        match = routes.find(request.method, request.path)
        try:
            if match.route is None:
                return Reply(match.door.dress(request, self._answer_unknown(request, match)))
            if match.door is routes.CONTROL:
                return Reply(self._run(match, match.route, request))
            return self._serve(match, match.route, request)
        except Exception:
            traceback.print_exc()
            return Reply(as_json({"error": "the sandbox itself failed; see its output"}, 500))

    def _serve(self, match: routes.RouteMatch, route: routes.Route, request: Request) -> Reply:
        """A call to a provider, with the fault that is armed for it, if any."""
        world, door = self.world, match.door
        with world.lock:
            call = _describe_call(request, route, match.ids)
            world.truth.record_call(call)
            fault = world.faults.take(request.method, request.path)
            call.fault = fault.kind if fault else None
            answer = door.open(world, request)
        is_open = answer is None
        if due_fault := _wait_for_fault(fault, "before"):
            reply = self._spoil(due_fault, request, door, answer or as_json({}))
            self._close(match, request, None, is_open)
        else:
            answer = answer or self._execute(match, route, request, call)
            due_fault = _wait_for_fault(fault, "after")
            reply = self._spoil(due_fault, request, door, answer)
            self._close(match, request, answer, is_open)
        call.status = reply.answer.status if reply.portion == "whole" else None
        return reply

    def _spoil(self, fault: Fault | None, request: Request, door: routes.Door, answer: Answer) -> Reply:
        if fault is None:
            return Reply(door.dress(request, answer))
        if fault.kind == "status":
            return Reply(door.dress(request, _build_refusal(fault, door)))
        return _spoil_answer(fault, door.dress(request, answer))

    def _close(self, match: routes.RouteMatch, request: Request, answer: Answer | None, is_open: bool) -> None:
        """After the fault's delay: a call is in progress until its answer leaves."""
        if is_open:
            with self.world.lock:
                match.door.close(self.world, request, answer)

    def _execute(self, match: routes.RouteMatch, route: routes.Route, request: Request, call: Call) -> Answer:
        try:
            answer = self._run(match, route, request)
        except Exception:
            with self.world.lock:
                match.door.close(self.world, request, None)
            raise
        call.executed = answer.status < 400
        return answer

    def _run(self, match: routes.RouteMatch, route: routes.Route, request: Request) -> Answer:
        world = self.world
        if match.door is routes.CONTROL and (refusal := match.door.open(world, request)):
            return refusal

        def execute() -> Answer:
            if not route.needs_lock:
                return route.handler(world, request, *match.ids)
            with world.lock:
                return route.handler(world, request, *match.ids)

        return match.door.perform(request, execute)

    def _answer_unknown(self, request: Request, match: routes.RouteMatch) -> Answer:
        with self.world.lock:
            early = match.door.open(self.world, request)
            if early is None:
                match.door.close(self.world, request, None)
        if early is not None:
            return early
        if match.door is routes.CONTROL:
            return as_json({"error": "no such control"}, 405 if match.wrong_method else 404)
        if match.door is routes.STRIPE:
            return (stripe.WRONG_METHOD if match.wrong_method else stripe.NO_SUCH_URL).answer()
        return (hyperswitch.WRONG_METHOD if match.wrong_method else hyperswitch.NO_SUCH_URL).answer()


def _describe_call(request: Request, route: routes.Route, ids: tuple[str, ...]) -> Call:
    object_id = ids[-1] if ids else None
    if object_id is None and route.door is routes.HYPERSWITCH:
        object_id = hyperswitch.object_id_of(request)
    key = request.headers.get("idempotency-key")
    return Call(request.method, request.path, route.template, object_id, key, stamp(now()))


def _wait_for_fault(fault: Fault | None, when: str) -> Fault | None:
    """Sleep for the fault if it acts at this moment, and return it. None: no fault acts now."""
    if fault is None or fault.when != when:
        return None
    time.sleep(fault.seconds)
    return None if fault.kind == "latency" else fault


def _spoil_answer(fault: Fault, answer: Answer) -> Reply:
    """Apply a fault to an answer."""
    if fault.kind == "drop":
        return Reply(answer, "nothing")
    if fault.kind == "half_body":
        return Reply(answer, "half")
    if fault.kind == "wrong_json":
        return Reply(Answer(200, b'{"unexpected": [1, 2', fault.headers))
    return Reply(Answer(502 if fault.status == 500 else fault.status, HTML, fault.headers, "text/html"))


def _build_refusal(fault: Fault, door: routes.Door) -> Answer:
    answer = door.trouble(fault.status)
    if isinstance(fault.body, str):
        answer = Answer(fault.status, fault.body.encode(), content_type="text/plain; charset=utf-8")
    elif fault.body is not None:
        answer = as_json(fault.body, fault.status)
    return answer.with_headers(fault.headers)
