"""`/v1/accounts` and capabilities: who can be paid."""

from __future__ import annotations

import time
from typing import Any

from sandbox.exchange import Answer, Json, Request, as_json
from sandbox.ids import new_id
from sandbox.stripe.announcements import announce
from sandbox.stripe.errors import bad_parameter, no_access, no_such
from sandbox.stripe.forms import decode, merged_metadata, read_params
from sandbox.stripe.objects import Account
from sandbox.world import World

CREATE = {
    **dict.fromkeys(("account_token", "business_type", "country", "default_currency", "email"), "str"),
    **dict.fromkeys(("external_account", "type"), "str"),
    **dict.fromkeys(("business_profile", "capabilities", "company", "documents", "individual"), "map"),
    **dict.fromkeys(("metadata", "settings", "tos_acceptance", "controller", "groups"), "map"),
}
CURRENCIES = {"US": "usd", "GB": "gbp", "CH": "chf", "CA": "cad", "AU": "aud", "JP": "jpy", "SE": "sek"}
TO_BE_ASKED = ["external_account", "individual.verification.document", "tos_acceptance.date"]


def create_account(world: World, request: Request) -> Answer:
    params = read_params(decode(request.form_pairs()), CREATE)
    kind = params.get("type", "none" if "controller" in params else "standard")
    if kind not in ("custom", "express", "standard", "none"):
        raise bad_parameter("Invalid type: must be one of custom, express, or standard", "type")
    at = int(time.time())
    country = params.get("country", "DE")
    account = Account(
        id=new_id("acct_", 16),
        created=at,
        country=country,
        default_currency=params.get("default_currency", CURRENCIES.get(country, "eur")),
        email=params.get("email"),
        type=kind,
        controller=_controller(params.get("controller") or {}, kind),
        metadata=merged_metadata({}, params.get("metadata") or {}),
        capabilities=_requested(params.get("capabilities") or {}),
        requested_at=at,
        currently_due=list(TO_BE_ASKED),
        disabled_reason="requirements.past_due",
    )
    world.accounts[account.id] = account
    if world.settings.activate_accounts:
        activate(world, account, cause=request)
    return as_json(account.as_json())


def read_account(world: World, _request: Request, account_id: str) -> Answer:
    return as_json(reachable(world, account_id).as_json())


def read_capability(world: World, _request: Request, account_id: str, name: str) -> Answer:
    account = reachable(world, account_id)
    if name not in account.capabilities and name not in ("transfers", "card_payments"):
        raise no_such("capability", name, param="capability")
    return as_json(account.capability_as_json(name))


def reachable(world: World, account_id: str) -> Account:
    """The account, if it exists and we may look at it. Raises StripeError: 403 in both cases."""
    account = world.accounts.get(account_id)
    if account is None or account.revoked or account.closed:
        raise no_access(account_id)
    return account


def acting_account(world: World, request: Request) -> str | None:
    """Whose behalf the call is on: None is the platform itself. Raises StripeError."""
    header = request.headers.get("stripe-account")
    return reachable(world, header).id if header else None


def activate(world: World, account: Account, *, cause: Request | None) -> None:
    """Everything asked for is there: transfers and payouts work."""
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
    """Set these fields and send `account.updated`, and `capability.updated` for each that changed."""
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
        earlier = before["capabilities"].get(name)
        if earlier != status:
            announce(
                world,
                "capability.updated",
                account.capability_as_json(name),
                cause=cause,
                account=account.id,
                previous={"status": earlier},
            )


def _requested(asked: Json) -> dict[str, str]:
    return {
        name: "inactive" for name, wish in asked.items() if isinstance(wish, dict) and wish.get("requested") == "true"
    }


def _controller(asked: Json, kind: str) -> Json:
    ours = kind in ("express", "custom")
    losses = asked.get("losses") or {"payments": "application" if ours else "stripe"}
    dashboard = {"none": "full", "custom": "none"}.get(kind, "full" if kind == "standard" else kind)
    return {
        "type": "application",
        "is_controller": True,
        "fees": asked.get("fees") or {"payer": "application" if ours else "account"},
        "losses": losses,
        "requirement_collection": asked.get("requirement_collection")
        or ("application" if kind == "custom" else "stripe"),
        "stripe_dashboard": asked.get("stripe_dashboard") or {"type": dashboard},
    }


def _application() -> Json:
    return {"id": "ca_sandbox", "object": "application", "name": "Sandbox platform"}
