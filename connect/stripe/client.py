"""The only place that calls Stripe: our arguments in, one of four outcomes out. It touches no row of ours.

`connect.stripe.calls` decides what an answer means for money.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

import stripe

from connect.stripe.calls import about, amount_on_wire, ask, assert_amount, assert_given
from connect.stripe.currencies import STRIPE_AMOUNTS, STRIPE_PAYOUT_AMOUNTS
from connect.stripe.objects import (
    OnboardingLink,
    RemoteAccount,
    RemotePayout,
    RemoteReversal,
    RemoteTransfer,
    parse_account,
    parse_balance,
    parse_link,
    parse_payout,
    parse_payout_page,
    parse_reversal,
    parse_reversal_page,
    parse_transfer,
    parse_transfer_page,
)
from connect.stripe.objects import (
    Page as PageOfTransfers,
)
from veza.core.outcomes import Accepted, Outcome, Refused, Unknown

# Of the sender, whoever that is for the call: our platform for a transfer, the seller for a reversal.
BALANCE_TOO_LOW = frozenset({"balance_insufficient", "insufficient_funds"})
DOES_NOT_EXIST = "resource_missing"
_PAGE = 100
_MAX_PAGES = 50


def create_transfer(
    *,
    transfer_id: UUID,
    order_id: UUID,
    amount_minor: int,
    currency: str,
    destination: str,
    idempotency_key: str,
) -> Outcome[RemoteTransfer]:
    """Send `amount_minor` to the account `destination`, grouped by the order it is for.

    Everything sent is a function of the arguments: Stripe refuses the same key with other parameters.
    """
    assert_amount(amount_minor)
    assert_given(destination=destination, currency=currency, idempotency_key=idempotency_key)
    amount = amount_on_wire(STRIPE_AMOUNTS, amount_minor, currency, path="/v1/transfers")
    if isinstance(amount, Refused):
        return amount
    params: Any = {
        "amount": amount,
        "currency": currency.lower(),
        "destination": destination,
        "transfer_group": str(order_id),
        "description": f"Order {order_id}",
        "metadata": {"order_id": str(order_id), "transfer_id": str(transfer_id)},
    }
    outcome = ask(
        "POST",
        "/v1/transfers",
        lambda client: client.v1.transfers.create(params, {"idempotency_key": idempotency_key}),
        parse_transfer,
    )
    request = (amount_minor, currency.upper(), destination)
    return about(outcome, lambda snapshot: (snapshot.amount_minor, snapshot.currency, snapshot.destination) == request)


def read_transfer(stripe_transfer_id: str) -> Outcome[RemoteTransfer]:
    """Read a transfer with all its reversals: it shows its newest ten, and the older ones are listed."""
    assert_given(stripe_transfer_id=stripe_transfer_id)
    outcome = ask(
        "GET",
        f"/v1/transfers/{stripe_transfer_id}",
        lambda client: client.v1.transfers.retrieve(stripe_transfer_id),
        parse_transfer,
    )
    outcome = about(outcome, lambda snapshot: snapshot.transfer_id == stripe_transfer_id)
    if isinstance(outcome, Accepted) and outcome.value.has_more_reversals:
        return _add_older_reversals(outcome.value)
    return outcome


def _add_older_reversals(transfer: RemoteTransfer) -> Outcome[RemoteTransfer]:
    """List the reversals before those that the transfer showed. A newer one is not among them: they fit its amounts."""
    reversals = list(transfer.reversals)
    path = f"/v1/transfers/{transfer.transfer_id}/reversals"
    for _ in range(_MAX_PAGES):
        filters = {"limit": _PAGE, "starting_after": reversals[-1].reversal_id}
        perform = partial(_page_of_reversals, transfer.transfer_id, filters)
        page = ask("GET", path, perform, parse_reversal_page)
        if not isinstance(page, Accepted):
            return page
        batch, has_more = page.value
        reversals += batch
        if not has_more or not batch:
            return Accepted(replace(transfer, reversals=tuple(reversals), has_more_reversals=False), page.call)
    return Unknown(f"more than {_PAGE * _MAX_PAGES} reversals", page.call)


def list_transfers(
    *,
    transfer_group: str = "",
    destination: str = "",
    made_from: datetime | None = None,
    made_until: datetime | None = None,
) -> Outcome[list[RemoteTransfer]]:
    """Every transfer of a group, or to an account in a window of time, newest first. One filter is needed."""
    filters: dict[str, Any] = {"limit": _PAGE}
    if transfer_group:
        filters["transfer_group"] = transfer_group
    if destination:
        filters["destination"] = destination
    bounds = {"gte": made_from, "lt": made_until}
    if window := {name: int(moment.timestamp()) for name, moment in bounds.items() if moment}:
        filters["created"] = window
    if len(filters) == 1:
        raise ValueError("all transfers of the platform are never listed")
    transfers: list[RemoteTransfer] = []
    for _ in range(_MAX_PAGES):
        page = ask("GET", "/v1/transfers", partial(_page_of_transfers, filters), parse_transfer_page)
        if not isinstance(page, Accepted):
            return page
        transfers += page.value.transfers
        if not page.value.has_more or not page.value.transfers:
            return Accepted(transfers, page.call)
        filters = {**filters, "starting_after": transfers[-1].transfer_id}
    return Unknown(f"more than {_PAGE * _MAX_PAGES} transfers: narrow the window", page.call)


def list_transfers_of_period(
    *, made_from: datetime, made_until: datetime, starting_after: str = ""
) -> Outcome[PageOfTransfers]:
    """One page of the platform's transfers made from one time to another, newest first."""
    window = {"gte": int(made_from.timestamp()), "lte": int(made_until.timestamp())}
    filters: dict[str, Any] = {"limit": _PAGE, "created": window}
    if starting_after:
        filters["starting_after"] = starting_after
    return ask("GET", "/v1/transfers", partial(_page_of_transfers, filters), parse_transfer_page)


def create_reversal(
    *,
    stripe_transfer_id: str,
    amount_minor: int,
    currency: str,
    reversal_id: UUID,
    order_id: UUID,
    idempotency_key: str,
) -> Outcome[RemoteReversal]:
    """Reverse `amount_minor` minor units of a transfer, in `currency`, the transfer's own.

    The amount is always sent: without it, Stripe reverses the whole rest.
    """
    assert_amount(amount_minor)
    assert_given(stripe_transfer_id=stripe_transfer_id, currency=currency, idempotency_key=idempotency_key)
    path = f"/v1/transfers/{stripe_transfer_id}/reversals"
    amount = amount_on_wire(STRIPE_AMOUNTS, amount_minor, currency, path=path)
    if isinstance(amount, Refused):
        return amount
    params: Any = {
        "amount": amount,
        "description": f"Refund of order {order_id}",
        "metadata": {"order_id": str(order_id), "reversal_id": str(reversal_id)},
    }
    outcome = ask(
        "POST",
        path,
        lambda client: client.v1.transfers.reversals.create(
            stripe_transfer_id, params, {"idempotency_key": idempotency_key}
        ),
        parse_reversal,
    )
    request = (stripe_transfer_id, amount_minor)
    return about(outcome, lambda snapshot: (snapshot.transfer_id, snapshot.amount_minor) == request)


def create_account(
    *,
    account_id: UUID,
    email: str,
    country: str,
    service_agreement: str,
    capabilities: Sequence[str],
    idempotency_key: str,
) -> Outcome[RemoteAccount]:
    """Open an account for a seller who is only ever paid.

    Stripe pays out on request only: by its own schedule it would empty the account every day, young sales included.
    """
    assert_given(email=email, country=country, idempotency_key=idempotency_key)
    params: Any = {
        "type": "express",
        "country": country,
        "email": email,
        "capabilities": {name: {"requested": True} for name in capabilities},
        "settings": {"payouts": {"schedule": {"interval": "manual"}}},
        "tos_acceptance": {"service_agreement": service_agreement},
        "metadata": {"account_id": str(account_id)},
    }
    return ask(
        "POST",
        "/v1/accounts",
        lambda client: client.v1.accounts.create(params, {"idempotency_key": idempotency_key}),
        parse_account,
    )


def read_account(stripe_account_id: str) -> Outcome[RemoteAccount]:
    """Read a connected account."""
    assert_given(stripe_account_id=stripe_account_id)
    outcome = ask(
        "GET",
        f"/v1/accounts/{stripe_account_id}",
        lambda client: client.v1.accounts.retrieve(stripe_account_id),
        parse_account,
        of_account=True,
    )
    return about(outcome, lambda snapshot: snapshot.account_id == stripe_account_id)


def create_account_link(*, stripe_account_id: str, return_url: str, refresh_url: str) -> Outcome[OnboardingLink]:
    """An address for one visit to Stripe's onboarding, within minutes. It is never stored or mailed."""
    assert_given(stripe_account_id=stripe_account_id, return_url=return_url, refresh_url=refresh_url)
    params: Any = {
        "account": stripe_account_id,
        "type": "account_onboarding",
        "return_url": return_url,
        "refresh_url": refresh_url,
    }
    return ask(
        "POST",
        "/v1/account_links",
        lambda client: client.v1.account_links.create(params),
        parse_link,
        of_account=True,
    )


def read_balance(stripe_account_id: str) -> Outcome[dict[str, int]]:
    """The balance a connected account can pay out now: {currency: minor units}."""
    assert_given(stripe_account_id=stripe_account_id)
    return ask(
        "GET",
        "/v1/balance",
        lambda client: client.v1.balance.retrieve(options={"stripe_account": stripe_account_id}),
        parse_balance,
        of_account=True,
    )


def create_payout(
    *, payout_id: UUID, stripe_account_id: str, amount_minor: int, currency: str, idempotency_key: str
) -> Outcome[RemotePayout]:
    """Send `amount_minor` from a connected account to its owner's bank."""
    assert_amount(amount_minor)
    assert_given(stripe_account_id=stripe_account_id, currency=currency, idempotency_key=idempotency_key)
    amount = amount_on_wire(STRIPE_PAYOUT_AMOUNTS, amount_minor, currency, path="/v1/payouts")
    if isinstance(amount, Refused):
        return amount
    params: Any = {"amount": amount, "currency": currency.lower(), "metadata": {"payout_id": str(payout_id)}}
    options: Any = {"stripe_account": stripe_account_id, "idempotency_key": idempotency_key}
    outcome = ask(
        "POST",
        "/v1/payouts",
        lambda client: client.v1.payouts.create(params, options),
        parse_payout,
        of_account=True,
    )
    request = (amount_minor, currency.upper())
    return about(outcome, lambda snapshot: (snapshot.amount_minor, snapshot.currency) == request)


def read_payout(external_payout_id: str, *, stripe_account_id: str) -> Outcome[RemotePayout]:
    """Read a payout of a connected account."""
    assert_given(external_payout_id=external_payout_id, stripe_account_id=stripe_account_id)
    outcome = ask(
        "GET",
        f"/v1/payouts/{external_payout_id}",
        lambda client: client.v1.payouts.retrieve(external_payout_id, options={"stripe_account": stripe_account_id}),
        parse_payout,
        of_account=True,
    )
    return about(outcome, lambda snapshot: snapshot.payout_id == external_payout_id)


def list_payouts(*, stripe_account_id: str, made_from: datetime) -> Outcome[list[RemotePayout]]:
    """The payouts of a connected account since `made_from`, newest first."""
    assert_given(stripe_account_id=stripe_account_id)
    filters: dict[str, Any] = {"limit": _PAGE, "created": {"gte": int(made_from.timestamp())}}
    payouts: list[RemotePayout] = []
    for _ in range(_MAX_PAGES):
        perform = partial(_page_of_payouts, dict(filters), stripe_account_id)
        page = ask("GET", "/v1/payouts", perform, parse_payout_page, of_account=True)
        if not isinstance(page, Accepted):
            return page
        batch, has_more = page.value
        payouts += batch
        if not has_more or not batch:
            return Accepted(payouts, page.call)
        filters["starting_after"] = payouts[-1].payout_id
    return Unknown(f"more than {_PAGE * _MAX_PAGES} payouts", page.call)


def _page_of_transfers(filters: Any, client: stripe.StripeClient) -> stripe.StripeObject:
    return client.v1.transfers.list(filters)


def _page_of_reversals(stripe_transfer_id: str, filters: Any, client: stripe.StripeClient) -> stripe.StripeObject:
    return client.v1.transfers.reversals.list(stripe_transfer_id, filters)


def _page_of_payouts(filters: Any, stripe_account_id: str, client: stripe.StripeClient) -> stripe.StripeObject:
    return client.v1.payouts.list(filters, {"stripe_account": stripe_account_id})
