"""One exchange with Stripe, and what its answer means for money: one of four outcomes.

The rules follow Stripe's documentation of errors and of idempotent requests (docs.stripe.com/api/errors,
docs.stripe.com/error-low-level): a 400 or 404 with an error object was not done; 401 and 403 rejected our key;
409, 429, 5xx, a timeout and whatever cannot be read, a 200 included, may have moved money. A stored refusal is
repeated for a day under the same key, so a request that may later succeed needs a new one.

Stripe is reached with our own timeouts, no retries of the SDK's, no redirects, and bounded answers: our rows own the
retries, so the SDK must not make any; a redirect would send a seller's money, with our key, to wherever an answer
points; and a body without an end would hold a worker for ever.
"""

import os
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, TypeVar

import requests
import stripe
from django.conf import settings

from veza.core.http import StatusClass, classify_status, never_connected, read_bounded, session_for
from veza.core.money import MAX_MINOR
from veza.core.outcomes import Accepted, Call, NotSent, Outcome, Refused, Unknown
from veza.core.rate import wait_for_turn
from veza.core.wire_amounts import Inexpressible, WireTable

# Our own word for what Stripe says of an account that is closed, or whose seller took our access away.
ACCOUNT_DISCONNECTED = "account_gone"
# What is said of it, kept and shown: Stripe's own words name our key.
ACCOUNT_DISCONNECTED_SENTENCE = "Stripe lets us do nothing with this account any more. Ask support what to do."
# How Stripe's sentence about such an account ends.
ACCESS_REVOKED = "Application access may have been revoked."
# Our own word: Stripe has no integer for this amount.
AMOUNT_NOT_EXACT = "amount_not_exact"
# With which Stripe definitely did nothing.
_REFUSALS = frozenset({400, 402, 404})
CONNECT_SECONDS, READ_SECONDS, DEADLINE_SECONDS = 3, 15, 20
MAX_ANSWER_BYTES = 2_000_000
# Telemetry writes a file into the home directory and says which calls were slow: neither is wanted here.
stripe.enable_telemetry = False

Snapshot = TypeVar("Snapshot")
Checked = TypeVar("Checked")


def assert_amount(amount_minor: object) -> None:
    """Raise ValueError unless it is a positive integer of minor units."""
    # The SDK drops None and writes True as `true`: both would move another amount than was meant.
    if type(amount_minor) is not int or not 0 < amount_minor <= MAX_MINOR:
        raise ValueError(f"an amount is a positive integer of minor units, not {amount_minor!r}")


def assert_given(**texts: str) -> None:
    """Raise ValueError unless every text says something."""
    # An empty transfer id would be POST /v1/transfers//reversals, an empty key a random one.
    for name, text in texts.items():
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"Stripe is never asked without {name}")


def amount_on_wire(table: WireTable, amount_minor: int, currency: str, *, path: str) -> int | Refused:
    """`amount_minor` as Stripe writes it; what it cannot write is refused without a call."""
    try:
        return table.to_wire(amount_minor, currency.upper())
    except Inexpressible as error:
        return Refused(AMOUNT_NOT_EXACT, f"{error}.", Call("stripe", "POST", path, 0, 0))


def about(outcome: Outcome[Checked], is_what_we_asked: Callable[[Checked], bool]) -> Outcome[Checked]:
    """The outcome, unless an accepted answer is about something else than was asked: then nothing is known."""
    if isinstance(outcome, Accepted) and not is_what_we_asked(outcome.value):
        return Unknown("the answer is not about what we asked", outcome.call)
    return outcome


def ask(
    method: str,
    path: str,
    perform: Callable[[stripe.StripeClient], stripe.StripeObject],
    read: Callable[[Mapping[str, Any]], Snapshot],
    *,
    of_account: bool = False,
) -> Outcome[Snapshot]:
    """Wait for our turn, call, and judge the answer. `of_account`: a 403 may be about that account, not our key."""
    if not settings.STRIPE_SECRET_KEY:
        return NotSent("Stripe is switched off: set STRIPE_SECRET_KEY", Call("stripe", method, path, 0, 0))
    wait_for_turn("stripe", per_second=settings.STRIPE_RATE_PER_SECOND)
    client = stripe_client()
    started = time.monotonic()

    def call(status: int) -> Call:
        return Call("stripe", method, path, status, round((time.monotonic() - started) * 1000))

    try:
        return Accepted(read(perform(client).to_dict()), call(200))
    except stripe.StripeError as error:
        outcome = _judge(error, call(error.http_status or 0), of_account=of_account)
        return _confirm(outcome) if isinstance(outcome, Refused) and outcome.code == ACCOUNT_DISCONNECTED else outcome
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        # Valid JSON of another shape makes the SDK fail after the answer has come: money may have moved.
        return Unknown(f"the answer could not be read: {error}"[:300], call(200))


def _confirm(refusal: Refused) -> Outcome[Any]:
    """`account_invalid` is also what a wrong key gets, for every account: our own account is read with the same key
    before a seller is believed to be gone.
    """
    own = ask("GET", "/v1/account", lambda client: client.v1.accounts.retrieve_current(), lambda payload: payload["id"])
    if isinstance(own, Accepted):
        return refusal
    return NotSent("Stripe rejected our key: it reads neither the account nor our own", refusal.call)


def _is_revoked(error: stripe.StripeError, code: str) -> bool:
    """Whether Stripe says that the account is gone. Any other 403 says only what our key may not do."""
    return code == "account_invalid" or str(error.user_message or "").endswith(ACCESS_REVOKED)


def _judge(error: stripe.StripeError, call: Call, *, of_account: bool) -> Outcome[Any]:
    if call.status == 0:
        if never_connected(error.__cause__):
            return NotSent("Stripe could not be reached", call)
        return Unknown(str(error.user_message), call)
    payload = error.error
    code = str((payload.code if payload else error.code) or "")
    if call.status == 403 and of_account and _is_revoked(error, code):
        return Refused(ACCOUNT_DISCONNECTED, ACCOUNT_DISCONNECTED_SENTENCE, call)
    status_class = classify_status(call.status, refusals=_REFUSALS)
    if status_class is StatusClass.AUTH_REJECTED:
        return NotSent(f"Stripe rejected our key ({call.status} {code}): check STRIPE_SECRET_KEY", call)
    if isinstance(error, stripe.IdempotencyError):
        return Unknown("idempotency_error: this key was used with other parameters", call)
    is_refusal = status_class is StatusClass.REFUSED and not isinstance(error, stripe.RateLimitError)
    if is_refusal and (payload is not None or code):
        return Refused(code, str(error.user_message or "")[:500], call)
    return Unknown(f"Stripe answered {call.status} {code}".strip(), call)


def stripe_client() -> stripe.StripeClient:
    """This process's client for the settings in force, built when first needed: a fork must not share
    sockets.
    """
    return _built(os.getpid(), settings.STRIPE_SECRET_KEY, settings.STRIPE_BASE_URL)


@lru_cache(maxsize=4)
def _built(_process: int, key: str, base_url: str) -> stripe.StripeClient:
    return stripe.StripeClient(
        key,
        base_addresses={"api": base_url},
        http_client=BoundedClient(timeout=(CONNECT_SECONDS, READ_SECONDS)),
        max_network_retries=0,
    )


class BoundedClient(stripe.RequestsClient):
    """The SDK's requests client, with what it leaves open closed. One session a thread."""

    def request(  # type: ignore[override]  # The SDK declares str and decodes the bytes it is given.
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """One exchange. Raises stripe.APIConnectionError, whose cause says whether anything was sent."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        try:
            with session_for("stripe", trust_env=False).request(
                method,
                url,
                headers=dict(headers or {}),
                data=post_data,
                timeout=(CONNECT_SECONDS, READ_SECONDS),
                verify=stripe.ca_bundle_path,
                allow_redirects=False,
                stream=True,
            ) as response:
                return _read(response, deadline=deadline), response.status_code, response.headers
        except requests.RequestException as error:
            why = f"no answer: {type(error).__name__}"
            raise stripe.APIConnectionError(why) from error  # type: ignore[no-untyped-call]


def _read(response: requests.Response, *, deadline: float) -> bytes:
    body = read_bounded(response, limit=MAX_ANSWER_BYTES, deadline=deadline)
    if body is None:
        raise requests.exceptions.ContentDecodingError("the answer is too long or too slow")
    return body
