"""The way in to Stripe: the secret key, and the idempotency key around every POST."""

from __future__ import annotations

import base64
import binascii
import hmac

from sandbox.exchange import Answer, Execute, Request, as_json
from sandbox.stripe.accounts import acting_account
from sandbox.stripe.errors import StripeError
from sandbox.world import World

TROUBLE = {
    401: ("invalid_request_error", None, "Invalid API Key provided."),
    403: ("invalid_request_error", "account_invalid", "Application access may have been revoked."),
    409: ("idempotency_error", "idempotency_key_in_use", "There is currently another in-progress request."),
    429: ("invalid_request_error", "rate_limit", "Request rate limit exceeded."),
}
BROKEN = ("api_error", None, "An unknown error occurred.")
NO_SUCH_URL = StripeError("Unrecognized request URL.", status=404, executed=False)
WRONG_METHOD = StripeError("Invalid request method for this URL.", status=405, executed=False)


class StripeDoor:
    def open(self, world: World, request: Request) -> Answer | None:
        """An answer that makes the call superfluous: 401, 403, a misused key, a replay."""
        if refusal := _unauthorized(request, world.settings.stripe_api_key):
            return refusal.answer()
        key = _key(request)
        try:
            acting_account(world, request)
            if key:
                return world.keys.begin(_scope(request), key, _asked(request), request.request_id)
        except StripeError as error:
            return error.answer()
        return None

    def perform(self, request: Request, execute: Execute) -> Answer:
        """The answer, marked as executed or not: only what was executed is stored."""
        try:
            answer = execute()
        except StripeError as error:
            if not error.executed:
                return error.answer()
            answer = error.answer()
        if request.method != "POST":
            return answer
        return answer.with_headers({"Original-Request": request.request_id, "Stripe-Should-Retry": "false"})

    def close(self, world: World, request: Request, answer: Answer | None) -> None:
        """Store the answer under the key, or free the key when nothing was executed."""
        if key := _key(request):
            executed = answer is not None and "Original-Request" in answer.headers
            world.keys.finish(_scope(request), key, answer if executed else None)

    def dress(self, request: Request, answer: Answer) -> Answer:
        headers = {"Request-Id": request.request_id}
        for sent, named in {"idempotency-key": "Idempotency-Key", "stripe-version": "Stripe-Version"}.items():
            if sent in request.headers:
                headers[named] = request.headers[sent]
        return answer.with_headers(headers)

    def trouble(self, status: int) -> Answer:
        """What an injected status says when nobody gave it a body."""
        ordinary = ("invalid_request_error", None, "Refused by the sandbox on request.")
        kind, code, message = TROUBLE.get(status, BROKEN if status >= 500 else ordinary)
        error = {"type": kind, "message": message, **({"code": code} if code else {})}
        return as_json({"error": error}, status)


def _unauthorized(request: Request, right_key: str) -> StripeError | None:
    given = _secret_key(request.headers.get("authorization", ""))
    if not given:
        message = "You did not provide an API key. Put your API key in the Authorization header."
        return StripeError(message, status=401, executed=False)
    if not hmac.compare_digest(given.encode(), right_key.encode()):
        return StripeError(f"Invalid API Key provided: {given[:8]}****", status=401, executed=False)
    return None


def _secret_key(authorization: str) -> str:
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value).decode("utf-8", "replace").partition(":")[0]
        except binascii.Error:
            return ""
    return value.strip() if scheme.lower() == "bearer" else ""


def _key(request: Request) -> str:
    return request.headers.get("idempotency-key", "") if request.method == "POST" else ""


def _scope(request: Request) -> str:
    return request.headers.get("stripe-account", "")


def _asked(request: Request) -> str:
    """What a key is tied to. The order of the parameters does not matter."""
    return f"{request.method} {request.path} {sorted(request.form_pairs())}"
