"""What happens at Stripe without anybody calling it: its dashboard, its checks of sellers, bank days."""

from __future__ import annotations

from typing import Any

from sandbox.control.asked import amount_in, known, one_of, read_asked
from sandbox.control.door import ControlError
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
    """`transfers: active` also finishes the onboarding, unless the other fields say otherwise."""
    asked = read_asked(request, ("transfers", *ACCOUNT_FIELDS))
    account = known(world.accounts, account_id, "account")
    if "transfers" in asked:
        status = one_of(asked, "transfers", ("active", "inactive", "pending"))
        if status == "active":
            activate(world, account, cause=None)
        else:
            capabilities = {**account.capabilities, "transfers": status}
            change_account(world, account, cause=None, capabilities=capabilities)
    changes = {name: asked[name] for name in ACCOUNT_FIELDS if name in asked}
    if changes:
        change_account(world, account, cause=None, **changes)
    return as_json(account.as_json())


def reverse_at_dashboard(world: World, request: Request, transfer_id: str) -> Answer:
    """A reversal that the platform's own back-end never asked for; without an amount, the rest."""
    asked = read_asked(request, ("amount",))
    transfer = known(world.transfers, transfer_id, "transfer")
    amount = amount_in(asked, "amount") if "amount" in asked else None
    try:
        return as_json(reverse(world, transfer, amount, metadata={}, cause=None), 201)
    except StripeError as error:
        raise ControlError(error.message, 409) from None


def set_balance(world: World, request: Request) -> Answer:
    """`account: null` is the platform's own balance."""
    asked = read_asked(request, ("account", "amount_minor", "currency"))
    owner: Any = asked.get("account")
    if owner is not None:
        known(world.accounts, owner, "account")
    amount = amount_in(asked, "amount_minor", least=-(10**15))
    currency = str(asked.get("currency", "eur")).lower()
    world.balances.setdefault(owner, {})[currency] = amount
    return as_json({"account": owner, "currency": currency, "amount_minor": amount})


def force_payout(world: World, request: Request, payout_id: str) -> Answer:
    asked = read_asked(request, ("status", "failure_code"))
    payout = known(world.payouts, payout_id, "payout")
    status = one_of(asked, "status", PAYOUT_STATUSES)
    change_payout(world, payout, status, failure_code=asked.get("failure_code", "could_not_process"))
    return as_json(payout.as_json())
