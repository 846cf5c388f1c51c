"""Access to Stripe: the secret key, and the idempotency key of every POST."""

from __future__ import annotations

import base64
import binascii
import hmac

from sandbox.exchange import Answer, Execute, Request, as_json
from sandbox.stripe.accounts import find_acting_account
from sandbox.stripe.errors import StripeError
from sandbox.world import World

TROUBLE = {
    401: ("invalid_request_error", None, "Invalid API Key provided."),
    403: ("invalid_request_error", None, "The provided key does not have the required permissions for this endpoint."),
    409: ("idempotency_error", "idempotency_key_in_use", "There is currently another in-progress request."),
    429: ("invalid_request_error", "rate_limit", "Request rate limit exceeded."),
}
BROKEN = ("api_error", None, "An unknown error occurred.")
NO_SUCH_URL = StripeError("Unrecognized request URL.", status=404, was_executed=False)
WRONG_METHOD = StripeError("Invalid request method for this URL.", status=405, was_executed=False)


class StripeDoor:
    def open(self, world: World, request: Request) -> Answer | None:
        """An answer that ends the call early: 401, 403, a misused key, a replay."""
        if refusal := _check_api_key(request, world.settings.stripe_api_key):
            return refusal.answer()
        key = _idempotency_key(request)
        try:
            find_acting_account(world, request)
            if key:
                return world.keys.begin(_scope(request), key, _fingerprint(request), request.request_id)
        except StripeError as error:
            return error.answer()
        return None

    def perform(self, request: Request, execute: Execute) -> Answer:
        """The answer, marked as executed or not: only executed calls are stored."""
        try:
            answer = execute()
        except StripeError as error:
            if not error.was_executed:
                return error.answer()
            answer = error.answer()
        if request.method != "POST":
            return answer
        return answer.with_headers({"Original-Request": request.request_id, "Stripe-Should-Retry": "false"})

    def close(self, world: World, request: Request, answer: Answer | None) -> None:
        """Store the answer under the key, or release the key if the call was not executed."""
        if key := _idempotency_key(request):
            was_executed = answer is not None and "Original-Request" in answer.headers
            world.keys.finish(_scope(request), key, answer if was_executed else None)

    def dress(self, request: Request, answer: Answer) -> Answer:
        headers = {"Request-Id": request.request_id}
        for name in ("Idempotency-Key", "Stripe-Version"):
            if name.lower() in request.headers:
                headers[name] = request.headers[name.lower()]
        return answer.with_headers(headers)

    def trouble(self, status: int) -> Answer:
        """The answer for an injected status without a body."""
        ordinary = ("invalid_request_error", None, "Refused by the sandbox on request.")
        kind, code, message = TROUBLE.get(status, BROKEN if status >= 500 else ordinary)
        error = {"type": kind, "message": message, **({"code": code} if code else {})}
        return as_json({"error": error}, status)


def _check_api_key(request: Request, expected_key: str) -> StripeError | None:
    api_key = _api_key_of(request.headers.get("authorization", ""))
    if not api_key:
        message = "You did not provide an API key. Put your API key in the Authorization header."
        return StripeError(message, status=401, was_executed=False)
    if not hmac.compare_digest(api_key.encode(), expected_key.encode()):
        return StripeError(f"Invalid API Key provided: {api_key[:8]}****", status=401, was_executed=False)
    return None


def _api_key_of(authorization: str) -> str:
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value).decode("utf-8", "replace").partition(":")[0]
        except binascii.Error:
            return ""
    return value.strip() if scheme.lower() == "bearer" else ""


def _idempotency_key(request: Request) -> str:
    return request.headers.get("idempotency-key", "") if request.method == "POST" else ""


def _scope(request: Request) -> str:
    return request.headers.get("stripe-account", "")


def _fingerprint(request: Request) -> str:
    """What a key stands for: method, path and parameters, in any order."""
    return f"{request.method} {request.path} {sorted(request.form_pairs())}"
