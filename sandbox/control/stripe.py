"""What happens at Stripe without an API call: the dashboard, seller verification, banks."""

from __future__ import annotations

from typing import Any

from sandbox.control.door import ControlError
from sandbox.control.params import find_object, read_amount, read_choice, read_params
from sandbox.exchange import Answer, Request, as_json
from sandbox.stripe.accounts import activate, change_account
from sandbox.stripe.errors import StripeError
from sandbox.stripe.payouts import change_payout
from sandbox.stripe.reversals import reverse
from sandbox.world import World

ACCOUNT_FIELDS = [
    "details_submitted",
    "payouts_enabled",
    "charges_enabled",
    "currently_due",
    "past_due",
    "disabled_reason",
    "revoked",
    "closed",
    "may_go_negative",
]
PAYOUT_STATUSES = ("pending", "in_transit", "paid", "failed", "canceled")


def force_account(world: World, request: Request, account_id: str) -> Answer:
    """`transfers: active` also completes the onboarding, unless other fields override it."""
    params = read_params(request, ("transfers", *ACCOUNT_FIELDS))
    account = find_object(world.accounts, account_id, "account")
    if "transfers" in params:
        status = read_choice(params, "transfers", ("active", "inactive", "pending"))
        if status == "active":
            activate(world, account, cause=None)
        else:
            capabilities = {**account.capabilities, "transfers": status}
            change_account(world, account, cause=None, capabilities=capabilities)
    changes = {name: params[name] for name in ACCOUNT_FIELDS if name in params}
    if changes:
        change_account(world, account, cause=None, **changes)
    return as_json(account.as_json())


def reverse_at_dashboard(world: World, request: Request, transfer_id: str) -> Answer:
    """An external reversal: the platform did not request it. Without an amount: all that remains."""
    params = read_params(request, ("amount",))
    transfer = find_object(world.transfers, transfer_id, "transfer")
    amount = read_amount(params, "amount") if "amount" in params else None
    try:
        return as_json(reverse(world, transfer, amount, metadata={}, cause=None), 201)
    except StripeError as error:
        raise ControlError(error.message, 409) from None


def set_balance(world: World, request: Request) -> Answer:
    """`account: null` is the platform's own balance."""
    params = read_params(request, ("account", "amount_minor", "currency"))
    owner: Any = params.get("account")
    if owner is not None:
        find_object(world.accounts, owner, "account")
    amount = read_amount(params, "amount_minor", least=-(10**15))
    currency = str(params.get("currency", "eur")).lower()
    world.balances.setdefault(owner, {})[currency] = amount
    return as_json({"account": owner, "currency": currency, "amount_minor": amount})


def force_payout(world: World, request: Request, payout_id: str) -> Answer:
    params = read_params(request, ("status", "failure_code"))
    payout = find_object(world.payouts, payout_id, "payout")
    status = read_choice(params, "status", PAYOUT_STATUSES)
    change_payout(world, payout, status, failure_code=params.get("failure_code", "could_not_process"))
    return as_json(payout.as_json())
