"""`/v1/accounts`, capabilities and `/v1/balance`."""

from __future__ import annotations

import time
from typing import Any

from sandbox.exchange import Answer, Json, Request, as_json
from sandbox.ids import new_id
from sandbox.stripe.agreements import check_agreement
from sandbox.stripe.announcements import announce
from sandbox.stripe.errors import bad_parameter, no_access, no_such
from sandbox.stripe.forms import decode, merge_metadata, read_params
from sandbox.stripe.objects import Account
from sandbox.world import PLATFORM, World

CREATE = {
    **dict.fromkeys(("account_token", "business_type", "country", "default_currency", "email"), "str"),
    **dict.fromkeys(("external_account", "type"), "str"),
    **dict.fromkeys(("business_profile", "capabilities", "company", "documents", "individual"), "map"),
    **dict.fromkeys(("metadata", "settings", "tos_acceptance", "controller", "groups"), "map"),
}
CURRENCIES = {"US": "usd", "GB": "gbp", "CH": "chf", "CA": "cad", "AU": "aud", "JP": "jpy", "SE": "sek"}
OPEN_REQUIREMENTS = ["external_account", "individual.verification.document", "tos_acceptance.date"]


def create_account(world: World, request: Request) -> Answer:
    params = read_params(decode(request.form_pairs()), CREATE)
    kind = params.get("type", "none" if "controller" in params else "standard")
    if kind not in ("custom", "express", "standard", "none"):
        raise bad_parameter("Invalid type: must be one of custom, express, or standard", "type")
    at = int(time.time())
    country = params.get("country", "DE")
    requested = _requested_capabilities(params.get("capabilities") or {})
    agreement = (params.get("tos_acceptance") or {}).get("service_agreement", "full")
    check_agreement(agreement, requested)
    account = Account(
        id=new_id("acct_", 16),
        created_at=at,
        country=country,
        default_currency=params.get("default_currency", CURRENCIES.get(country, "eur")),
        email=params.get("email"),
        type=kind,
        controller=_build_controller(params.get("controller") or {}, kind),
        metadata=merge_metadata({}, params.get("metadata") or {}),
        capabilities=requested,
        service_agreement=agreement,
        requested_at=at,
        currently_due=list(OPEN_REQUIREMENTS),
        disabled_reason="requirements.past_due",
    )
    world.accounts[account.id] = account
    if world.settings.activate_accounts:
        activate(world, account, cause=request)
    return as_json(account.as_json())


def read_own_account(_world: World, request: Request) -> Answer:
    """`GET /v1/account`: the platform's own account."""
    read_params(decode(request.query_pairs()), {})
    return as_json({"id": "acct_sandbox_platform", "object": "account", "country": "DE", "default_currency": "eur"})


def read_account(world: World, _request: Request, account_id: str) -> Answer:
    return as_json(find_reachable(world, account_id).as_json())


def read_capability(world: World, _request: Request, account_id: str, name: str) -> Answer:
    account = find_reachable(world, account_id)
    if name not in account.capabilities and name not in ("transfers", "card_payments"):
        raise no_such("capability", name, param="capability")
    return as_json(account.capability_as_json(name))


def find_reachable(world: World, account_id: str) -> Account:
    """The account. Raises StripeError if it does not exist or access was revoked: 403 in both cases."""
    account = world.accounts.get(account_id)
    if account is None or account.revoked or account.closed:
        raise no_access(account_id)
    return account


def find_acting_account(world: World, request: Request) -> str | None:
    """The account that the call acts for; None is the platform itself. Raises StripeError."""
    header = request.headers.get("stripe-account")
    return find_reachable(world, header).id if header else None


def read_balance(world: World, request: Request) -> Answer:
    """What the platform, or a connected account, can spend now."""
    read_params(decode(request.query_pairs()), {})
    owner = find_acting_account(world, request)
    currency = world.accounts[owner].default_currency if owner else "eur"
    balances = world.balances.get(owner) or {currency: 0}
    available = [
        {"amount": amount, "currency": name, "source_types": {"card": amount}}
        for name, amount in sorted(balances.items())
    ]
    pending = [{"amount": 0, "currency": name, "source_types": {"card": 0}} for name in sorted(balances)]
    balance = {"object": "balance", "available": available, "livemode": False, "pending": pending}
    if owner is PLATFORM:
        balance["connect_reserved"] = [{"amount": 0, "currency": name} for name in sorted(balances)]
    return as_json(balance)


def activate(world: World, account: Account, *, cause: Request | None) -> None:
    """Complete the requirements: transfers and payouts work."""
    change_account(
        world,
        account,
        cause=cause,
        capabilities={**account.capabilities, "transfers": "active"},
        details_submitted=True,
        payouts_enabled=True,
        currently_due=[],
        past_due=[],
        disabled_reason=None,
    )


def change_account(world: World, account: Account, *, cause: Request | None, **changes: Any) -> None:
    """Set these fields and send `account.updated`, and `capability.updated` for each changed capability."""
    before: Json = account.as_json()
    for name, value in changes.items():
        setattr(account, name, value)
    after = account.as_json()
    if account.revoked:
        announce(world, "account.application.deauthorized", _application(), cause=cause, account=account.id)
        return
    previous = {name: value for name, value in before.items() if after[name] != value}
    if previous:
        announce(world, "account.updated", after, cause=cause, account=account.id, previous=previous)
    for name, status in account.capabilities.items():
        status_before = before["capabilities"].get(name)
        if status_before != status:
            announce(
                world,
                "capability.updated",
                account.capability_as_json(name),
                cause=cause,
                account=account.id,
                previous={"status": status_before},
            )


def _requested_capabilities(params: Json) -> dict[str, str]:
    return {
        name: "inactive"
        for name, request in params.items()
        if isinstance(request, dict) and request.get("requested") == "true"
    }


def _build_controller(params: Json, kind: str) -> Json:
    is_managed = kind in ("express", "custom")
    losses = params.get("losses") or {"payments": "application" if is_managed else "stripe"}
    dashboard = {"none": "full", "custom": "none"}.get(kind, "full" if kind == "standard" else kind)
    return {
        "type": "application",
        "is_controller": True,
        "fees": params.get("fees") or {"payer": "application" if is_managed else "account"},
        "losses": losses,
        "requirement_collection": params.get("requirement_collection")
        or ("application" if kind == "custom" else "stripe"),
        "stripe_dashboard": params.get("stripe_dashboard") or {"type": dashboard},
    }


def _application() -> Json:
    return {"id": "ca_sandbox", "object": "application", "name": "Sandbox platform"}
