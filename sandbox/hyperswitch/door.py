"""Access to Hyperswitch: the API key, and the shape of its errors."""

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
        """An answer that ends the call early: here only the 401."""
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
        """Nothing is stored per call."""

    def dress(self, request: Request, answer: Answer) -> Answer:
        return answer.with_headers({"x-request-id": request.request_id})

    def trouble(self, status: int) -> Answer:
        """The answer for an injected status without a body."""
        if status == 422:  # the busy lock; the wrong message is Hyperswitch's own
            return _error_answer(status, "invalid_request", "There was an issue processing the webhook body", "HE_00")
        if status >= 500:
            return _error_answer(status, "api", "Something went wrong", "HE_00")
        return _error_answer(status, "invalid_request", "Refused by the sandbox on request", "IR_06")


def object_id_of(request: Request) -> str | None:
    """The caller's id in a create call, for the call log."""
    try:
        body = request.json()
    except ValueError:
        return None
    object_id = body.get("refund_id") or body.get("payment_id")
    return object_id if isinstance(object_id, str) else None


def _error_answer(status: int, kind: str, message: str, code: str) -> Answer:
    return as_json({"error": {"type": kind, "message": message, "code": code}}, status)
