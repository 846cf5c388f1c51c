"""The table of idempotency keys: the request and the answer of each."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.exchange import Answer
from sandbox.stripe.errors import StripeError, bad_parameter

MAX_LENGTH = 255


@dataclass
class _Entry:
    fingerprint: str  # method, path and parameters
    request_id: str
    answer: Answer | None = None  # None: still running


class KeyTable:
    """Keys are per account; entries stay until the control API drops them."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], _Entry] = {}

    def begin(self, account: str, key: str, fingerprint: str, request_id: str) -> Answer | None:
        """The stored answer to the same request; None: execute it. Raises StripeError on a misused key."""
        if len(key) > MAX_LENGTH:
            raise bad_parameter("Idempotency keys have at most 255 characters.", "idempotency_key")
        entry = self._entries.get((account, key))
        if entry is None:
            self._entries[account, key] = _Entry(fingerprint, request_id)
            return None
        if entry.fingerprint != fingerprint:
            raise _other_parameters(key)
        if entry.answer is None:
            raise _in_progress(key)
        return entry.answer.with_headers({"Idempotent-Replayed": "true", "Original-Request": entry.request_id})

    def finish(self, account: str, key: str, answer: Answer | None) -> None:
        """Store the answer of an executed call. None: not executed, so the key is released."""
        if answer is None:
            self._entries.pop((account, key), None)
        elif entry := self._entries.get((account, key)):
            entry.answer = answer

    def forget(self) -> int:
        """Drop every finished entry, as Stripe does after a day. Returns how many."""
        answered_keys = [place for place, entry in self._entries.items() if entry.answer is not None]
        for place in answered_keys:
            del self._entries[place]
        return len(answered_keys)


def _other_parameters(key: str) -> StripeError:
    return StripeError(
        "Keys for idempotent requests can only be used with the same parameters they were first used with."
        f" Try using a key other than '{key}' if you meant to execute a different request.",
        kind="idempotency_error",
    )


def _in_progress(key: str) -> StripeError:
    return StripeError(
        "There is currently another in-progress request using this Idempotent Key (that probably means you"
        f" submitted twice, and the other request is still going through): {key}. Please try again later.",
        status=409,
        kind="idempotency_error",
        code="idempotency_key_in_use",
    )
