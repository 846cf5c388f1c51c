"""`/v1/balance`: what the platform, or a connected account, can spend now."""

from __future__ import annotations

from sandbox.exchange import Answer, Request, as_json
from sandbox.stripe.accounts import acting_account
from sandbox.stripe.forms import decode, read_params
from sandbox.world import PLATFORM, World


def read_balance(world: World, request: Request) -> Answer:
    read_params(decode(request.query_pairs()), {})
    owner = acting_account(world, request)
    currency = world.accounts[owner].default_currency if owner else "eur"
    held = world.balances.get(owner) or {currency: 0}
    available = [
        {"amount": amount, "currency": name, "source_types": {"card": amount}} for name, amount in sorted(held.items())
    ]
    pending = [{"amount": 0, "currency": name, "source_types": {"card": 0}} for name in sorted(held)]
    balance = {"object": "balance", "available": available, "livemode": False, "pending": pending}
    if owner is PLATFORM:
        balance["connect_reserved"] = [{"amount": 0, "currency": name} for name in sorted(held)]
    return as_json(balance)
