"""The only place that talks to Stripe: our words in, one of four outcomes out. It touches no row of ours.

What an answer means for money follows Stripe's documentation of errors and of idempotent requests
(docs.stripe.com/api/errors, docs.stripe.com/error-low-level): a 400 or 404 with an error object was not
done; 401 and 403 were turned away at the gate; 409, 429, 5xx, a timeout and whatever cannot be read, a 200
included, may have moved money. A stored refusal is repeated for a day under the same key, so a request that
may later succeed needs a new one.
"""

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

import stripe
from django.conf import settings
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from connect.stripe_connection import stripe_client
from connect.stripe_objects import (
    AccountSeen,
    ReversalSeen,
    TransferSeen,
    read_account_object,
    read_page,
    read_reversal_object,
    read_transfer_object,
)
from veza.core.money import MAX_MINOR
from veza.core.outcomes import Accepted, Call, NotSent, Outcome, Refused, Unknown
from veza.core.rate import wait_for_turn

# Of the sender, whoever that is for the call: our platform for a transfer, the seller for a reversal.
BALANCE_TOO_LOW = frozenset({"balance_insufficient", "insufficient_funds"})
DOES_NOT_EXIST = "resource_missing"
_PAGE = 100
_MAX_PAGES = 50
_GATE = frozenset({401, 403})
_DEFINITE = frozenset({400, 402, 404})

Seen = TypeVar("Seen")
Checked = TypeVar("Checked")


def create_transfer(
    *,
    transfer_id: UUID,
    order_id: UUID,
    amount_minor: int,
    currency: str,
    destination: str,
    idempotency_key: str,
) -> Outcome[TransferSeen]:
    """Send `amount_minor` to the account `destination`, grouped by the order it is for.

    Everything sent is a function of the arguments: Stripe refuses the same key with other parameters.
    """
    _assert_amount(amount_minor)
    _assert_given(destination=destination, currency=currency, idempotency_key=idempotency_key)
    params: Any = {
        "amount": amount_minor,
        "currency": currency.lower(),
        "destination": destination,
        "transfer_group": str(order_id),
        "description": f"Order {order_id}",
        "metadata": {"order_id": str(order_id), "transfer_id": str(transfer_id)},
    }
    outcome = _ask(
        "POST",
        "/v1/transfers",
        lambda client: client.v1.transfers.create(params, {"idempotency_key": idempotency_key}),
        read_transfer_object,
    )
    asked = (amount_minor, currency.upper(), destination)
    return _about(outcome, lambda seen: (seen.amount_minor, seen.currency, seen.destination) == asked)


def read_transfer(stripe_transfer_id: str) -> Outcome[TransferSeen]:
    """What Stripe knows of a transfer, its newest ten reversals included."""
    _assert_given(stripe_transfer_id=stripe_transfer_id)
    outcome = _ask(
        "GET",
        f"/v1/transfers/{stripe_transfer_id}",
        lambda client: client.v1.transfers.retrieve(stripe_transfer_id),
        read_transfer_object,
    )
    return _about(outcome, lambda seen: seen.transfer_id == stripe_transfer_id)


def list_transfers(
    *,
    transfer_group: str = "",
    destination: str = "",
    made_from: datetime | None = None,
    made_until: datetime | None = None,
) -> Outcome[list[TransferSeen]]:
    """Every transfer of a group, or to an account in a window of time, newest first. One filter is needed."""
    filters: dict[str, Any] = {"limit": _PAGE}
    if transfer_group:
        filters["transfer_group"] = transfer_group
    if destination:
        filters["destination"] = destination
    created = {"gte": made_from, "lt": made_until}
    if window := {name: int(moment.timestamp()) for name, moment in created.items() if moment}:
        filters["created"] = window
    if len(filters) == 1:
        raise ValueError("all transfers of the platform are never asked for")
    found: list[TransferSeen] = []
    for _ in range(_MAX_PAGES):
        page = _ask("GET", "/v1/transfers", partial(_page_of_transfers, filters), read_page)
        if not isinstance(page, Accepted):
            return page
        found += page.value.transfers
        if not page.value.has_more or not page.value.transfers:
            return Accepted(found, page.call)
        filters = {**filters, "starting_after": found[-1].transfer_id}
    return Unknown(f"more than {_PAGE * _MAX_PAGES} transfers: narrow the window", page.call)


def create_reversal(
    *, stripe_transfer_id: str, amount_minor: int, reversal_id: UUID, order_id: UUID, idempotency_key: str
) -> Outcome[ReversalSeen]:
    """Take `amount_minor` of a transfer back, in the transfer's own currency.

    The amount is always sent: left out, Stripe takes back the whole rest.
    """
    _assert_amount(amount_minor)
    _assert_given(stripe_transfer_id=stripe_transfer_id, idempotency_key=idempotency_key)
    params: Any = {
        "amount": amount_minor,
        "description": f"Refund of order {order_id}",
        "metadata": {"order_id": str(order_id), "reversal_id": str(reversal_id)},
    }
    outcome = _ask(
        "POST",
        f"/v1/transfers/{stripe_transfer_id}/reversals",
        lambda client: client.v1.transfers.reversals.create(
            stripe_transfer_id, params, {"idempotency_key": idempotency_key}
        ),
        read_reversal_object,
    )
    asked = (stripe_transfer_id, amount_minor)
    return _about(outcome, lambda seen: (seen.transfer_id, seen.amount_minor) == asked)


def create_account(*, account_id: UUID, email: str, country: str, idempotency_key: str) -> Outcome[AccountSeen]:
    """Make an account for a seller who is only ever paid: the one capability asked for is `transfers`."""
    _assert_given(email=email, country=country, idempotency_key=idempotency_key)
    params: Any = {
        "type": "express",
        "country": country,
        "email": email,
        "capabilities": {"transfers": {"requested": True}},
        "metadata": {"account_id": str(account_id)},
    }
    return _ask(
        "POST",
        "/v1/accounts",
        lambda client: client.v1.accounts.create(params, {"idempotency_key": idempotency_key}),
        read_account_object,
    )


def read_account(stripe_account_id: str) -> Outcome[AccountSeen]:
    """What Stripe knows of a connected account."""
    _assert_given(stripe_account_id=stripe_account_id)
    outcome = _ask(
        "GET",
        f"/v1/accounts/{stripe_account_id}",
        lambda client: client.v1.accounts.retrieve(stripe_account_id),
        read_account_object,
    )
    return _about(outcome, lambda seen: seen.account_id == stripe_account_id)


def _page_of_transfers(filters: Any, client: stripe.StripeClient) -> stripe.StripeObject:
    return client.v1.transfers.list(filters)


def _assert_amount(amount_minor: object) -> None:
    # The SDK drops None and writes True as `true`: both would move another amount than was meant.
    if type(amount_minor) is not int or not 0 < amount_minor <= MAX_MINOR:
        raise ValueError(f"an amount is a positive integer of minor units, not {amount_minor!r}")


def _assert_given(**texts: str) -> None:
    # An empty transfer id would be POST /v1/transfers//reversals, an empty key a random one.
    for name, text in texts.items():
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"Stripe is never asked without {name}")


def _about(outcome: Outcome[Checked], is_what_we_asked: Callable[[Checked], bool]) -> Outcome[Checked]:
    if isinstance(outcome, Accepted) and not is_what_we_asked(outcome.value):
        return Unknown("the answer is not about what we asked", outcome.call)
    return outcome


def _ask(
    method: str,
    path: str,
    perform: Callable[[stripe.StripeClient], stripe.StripeObject],
    read: Callable[[Mapping[str, Any]], Seen],
) -> Outcome[Seen]:
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
        return _judged(error, call(error.http_status or 0))
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        # Valid JSON of another shape makes the SDK stumble after the answer has come: money may have moved.
        return Unknown(f"the answer could not be read: {error}"[:300], call(200))


def _judged(error: stripe.StripeError, call: Call) -> Outcome[Any]:
    said = error.error
    code = str((said.code if said else error.code) or "")
    if call.status == 0:
        if _never_connected(error):
            return NotSent("Stripe could not be reached", call)
        return Unknown(str(error.user_message), call)
    if call.status in _GATE:
        return NotSent(f"Stripe turned us away ({call.status} {code}): check STRIPE_SECRET_KEY", call)
    if isinstance(error, stripe.IdempotencyError):
        return Unknown("idempotency_error: this key was used with other parameters", call)
    definite = call.status in _DEFINITE and not isinstance(error, stripe.RateLimitError)
    if definite and (said is not None or code):
        return Refused(code, str(error.user_message or "")[:500], call)
    return Unknown(f"Stripe answered {call.status} {code}".strip(), call)


def _never_connected(error: stripe.StripeError) -> bool:
    reason = error.__cause__.args[0] if error.__cause__ is not None and error.__cause__.args else None
    return isinstance(getattr(reason, "reason", None), NewConnectionError | ConnectTimeoutError)
