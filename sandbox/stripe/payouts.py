"""`/v1/payouts`: from a balance to the owner's bank."""

from __future__ import annotations

import time

from sandbox.exchange import Answer, Request, as_json
from sandbox.ids import new_id
from sandbox.stripe.accounts import find_acting_account
from sandbox.stripe.amounts import check_amount
from sandbox.stripe.announcements import announce
from sandbox.stripe.errors import StripeError, bad_parameter, insufficient_payout_funds, no_such
from sandbox.stripe.forms import Params, decode, merge_metadata, read_params
from sandbox.stripe.lists import PAGING, is_in_range, page_of
from sandbox.stripe.objects import Payout
from sandbox.world import World

CREATE = {
    "amount": "int",
    "metadata": "map",
    **dict.fromkeys(("currency", "description", "destination", "method", "source_type"), "str"),
    **dict.fromkeys(("statement_descriptor", "payout_method"), "str"),
}
LIST = {**PAGING, "arrival_date": "range", "created": "range", "destination": "str", "status": "str"}
MONEY_RETURNED = ("failed", "canceled")


def create_payout(world: World, request: Request) -> Answer:
    params = read_params(decode(request.form_pairs()), CREATE, mandatory=("amount", "currency"))
    _check_params(params)
    owner = find_acting_account(world, request)
    if owner and not world.accounts[owner].payouts_enabled:
        raise StripeError("Cannot create payouts: payouts are not enabled.", code="payouts_not_allowed")
    if world.balance(owner, params["currency"].lower()) < params["amount"]:
        raise insufficient_payout_funds()
    payout = _new_payout(params, owner)
    world.payouts[payout.id] = payout
    world.add_to_balance(owner, payout.currency, -payout.amount)
    world.truth.record_movement("payout", payout.id, payout.amount, payout.currency, owner)
    announce(world, "payout.created", payout.as_json(), cause=request, account=owner)
    world.later(world.settings.payout_delay_seconds, lambda: _arrive(world, payout))
    return as_json(payout.as_json())


def read_payout(world: World, request: Request, payout_id: str) -> Answer:
    read_params(decode(request.query_pairs()), {})
    return as_json(_find(world, request, payout_id).as_json())


def list_payouts(world: World, request: Request) -> Answer:
    params = read_params(decode(request.query_pairs()), LIST)
    owner = find_acting_account(world, request)
    payouts = [
        payout.as_json()
        for payout in reversed(world.payouts.values())
        if payout.owner == owner
        and params.get("status") in (None, payout.status)
        and params.get("destination") in (None, payout.destination)
        and is_in_range(payout.created_at, params.get("created"))
    ]
    return page_of(payouts, params, url="/v1/payouts", what="payout")


def change_payout(world: World, payout: Payout, status: str, *, failure_code: str = "could_not_process") -> None:
    """Apply the bank's status. A payout that fails, even after `paid`, returns the money to the balance."""
    was_returned, payout.status = payout.status in MONEY_RETURNED, status
    if status in MONEY_RETURNED and not was_returned:
        world.add_to_balance(payout.owner, payout.currency, payout.amount)
        world.truth.record_movement("payout", payout.id, -payout.amount, payout.currency, payout.owner)
    if status == "failed":
        payout.failure_code, payout.failure_message = failure_code, "The bank could not process this payout."
        payout.failure_balance_transaction = new_id("txn_", 24)
    event = {"paid": "payout.paid", "failed": "payout.failed", "canceled": "payout.canceled"}
    announce(world, event.get(status, "payout.updated"), payout.as_json(), cause=None, account=payout.owner)


def _check_params(params: Params) -> None:
    check_amount(params, params["currency"].lower(), is_payout=True)
    if len(params.get("statement_descriptor", "")) > 22:
        raise bad_parameter("A statement descriptor has at most 22 characters.", "statement_descriptor")
    if params.get("method", "standard") not in ("standard", "instant"):
        raise bad_parameter("Invalid method: must be one of instant or standard", "method")


def _new_payout(params: Params, owner: str | None) -> Payout:
    return Payout(
        id=new_id("po_", 24),
        owner=owner,
        amount=params["amount"],
        currency=params["currency"].lower(),
        created_at=int(time.time()),
        method=params.get("method", "standard"),
        description=params.get("description"),
        metadata=merge_metadata({}, params.get("metadata") or {}),
        statement_descriptor=params.get("statement_descriptor"),
        balance_transaction=new_id("txn_", 24),
        destination=params.get("destination", new_id("ba_", 24)),
    )


def _find(world: World, request: Request, payout_id: str) -> Payout:
    payout = world.payouts.get(payout_id)
    if payout is None or payout.owner != find_acting_account(world, request):
        raise no_such("payout", payout_id, param="payout")
    return payout


def _arrive(world: World, payout: Payout) -> None:
    if payout.status == "pending":
        change_payout(world, payout, "paid")
