"""The way in to Hyperswitch: the API key, and how its errors look."""

from __future__ import annotations

import hmac

from sandbox.exchange import Answer, Execute, Request, as_json
from sandbox.hyperswitch.errors import HyperswitchError
from sandbox.world import World

UNAUTHORIZED = HyperswitchError(401, "IR_01", "API key not provided or invalid API key used")
NO_SUCH_URL = HyperswitchError(404, "IR_02", "Unrecognized request URL")
WRONG_METHOD = HyperswitchError(405, "IR_03", "The HTTP method is not applicable for this API")


class HyperswitchDoor:
    """A payment or refund is never protected by an `Idempotency-Key`: that header has no effect here."""

    def open(self, world: World, request: Request) -> Answer | None:
        """An answer that makes the call superfluous, here only the 401."""
        key = request.headers.get("api-key", "")
        if hmac.compare_digest(key.encode(), world.settings.hyperswitch_api_key.encode()):
            return None
        return UNAUTHORIZED.answer()

    def perform(self, _request: Request, execute: Execute) -> Answer:
        try:
            return execute()
        except HyperswitchError as error:
            return error.answer()

    def close(self, world: World, request: Request, answer: Answer | None) -> None:
        """Nothing is remembered per call."""

    def dress(self, request: Request, answer: Answer) -> Answer:
        return answer.with_headers({"x-request-id": request.request_id})

    def trouble(self, status: int) -> Answer:
        """What an injected status says when nobody gave it a body."""
        if status == 422:  # the busy lock, with the upstream slip of the tongue
            return _body(status, "invalid_request", "There was an issue processing the webhook body", "HE_00")
        if status >= 500:
            return _body(status, "api", "Something went wrong", "HE_00")
        return _body(status, "invalid_request", "Refused by the sandbox on request", "IR_06")


def id_in(request: Request) -> str | None:
    """The id of ours in a create call, for the call log."""
    try:
        body = request.json()
    except ValueError:
        return None
    found = body.get("refund_id") or body.get("payment_id")
    return found if isinstance(found, str) else None


def _body(status: int, kind: str, message: str, code: str) -> Answer:
    return as_json({"error": {"type": kind, "message": message, "code": code}}, status)
