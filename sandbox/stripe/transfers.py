"""`/v1/transfers`: money from the platform's balance to a seller's."""

from __future__ import annotations

import time

from sandbox.exchange import Answer, Request, as_json
from sandbox.ids import new_id
from sandbox.stripe.agreements import check_destination
from sandbox.stripe.amounts import check_amount
from sandbox.stripe.announcements import announce
from sandbox.stripe.errors import StripeError, bad_parameter, insufficient_platform_funds, no_such
from sandbox.stripe.forms import Params, decode, merge_metadata, read_params
from sandbox.stripe.lists import PAGING, is_in_range, page_of
from sandbox.stripe.objects import Transfer
from sandbox.world import PLATFORM, World

CREATE = {
    "amount": "int",
    "metadata": "map",
    **dict.fromkeys(("currency", "description", "destination", "source_transaction"), "str"),
    **dict.fromkeys(("source_type", "transfer_group"), "str"),
}
UPDATE = {"description": "str", "metadata": "map"}
LIST = {**PAGING, "created": "range", "destination": "str", "transfer_group": "str"}
ABLE_TO_RECEIVE = ("transfers", "crypto_transfers", "legacy_payments")


def find_transfer(world: World, transfer_id: str) -> Transfer:
    transfer = world.transfers.get(transfer_id)
    if transfer is None:
        raise no_such("transfer", transfer_id)
    return transfer


def create_transfer(world: World, request: Request) -> Answer:
    params = read_params(decode(request.form_pairs()), CREATE, mandatory=("amount", "currency", "destination"))
    currency = params["currency"].lower()
    check_amount(params, currency)
    _check_params(world, params)
    if world.balance(PLATFORM, currency) < params["amount"]:
        raise insufficient_platform_funds()
    transfer = _new_transfer(params, currency)
    world.transfers[transfer.id] = transfer
    world.add_to_balance(PLATFORM, currency, -transfer.amount)
    world.add_to_balance(transfer.destination, currency, transfer.amount)
    world.truth.record_movement("transfer", transfer.id, transfer.amount, currency, transfer.destination)
    announce(world, "transfer.created", transfer.as_json(), cause=request)
    return as_json(transfer.as_json())


def read_transfer(world: World, request: Request, transfer_id: str) -> Answer:
    read_params(decode(request.query_pairs()), {})
    return as_json(find_transfer(world, transfer_id).as_json())


def update_transfer(world: World, request: Request, transfer_id: str) -> Answer:
    params = read_params(decode(request.form_pairs()), UPDATE)
    transfer = find_transfer(world, transfer_id)
    before = {"description": transfer.description, "metadata": transfer.metadata}
    if "metadata" in params:
        transfer.metadata = merge_metadata(transfer.metadata, params["metadata"])
    if "description" in params:
        transfer.description = params["description"] or None
    after = transfer.as_json()
    if previous := {name: value for name, value in before.items() if after[name] != value}:
        announce(world, "transfer.updated", after, cause=request, previous=previous)
    return as_json(after)


def list_transfers(world: World, request: Request) -> Answer:
    params = read_params(decode(request.query_pairs()), LIST)
    transfers = [
        transfer.as_json()
        for transfer in reversed(world.transfers.values())
        if params.get("destination") in (None, transfer.destination)
        and params.get("transfer_group") in (None, transfer.transfer_group)
        and is_in_range(transfer.created_at, params.get("created"))
    ]
    return page_of(transfers, params, url="/v1/transfers", what="transfer")


def _check_params(world: World, params: Params) -> None:
    if params.get("source_type", "card") not in ("card", "bank_account", "fpx"):
        raise bad_parameter("Invalid source_type: must be one of card, bank_account or fpx", "source_type")
    _check_destination(world, params["destination"])
    if "source_transaction" in params:
        raise no_such("charge", params["source_transaction"], param="source_transaction", status=400)


def _new_transfer(params: Params, currency: str) -> Transfer:
    return Transfer(
        id=new_id("tr_", 24),
        amount=params["amount"],
        currency=currency,
        destination=params["destination"],
        created_at=int(time.time()),
        balance_transaction=new_id("txn_", 24),
        destination_payment=new_id("py_", 24),
        description=params.get("description"),
        metadata=merge_metadata({}, params.get("metadata") or {}),
        source_transaction=None,
        source_type=params.get("source_type", "card"),
        transfer_group=params.get("transfer_group"),
    )


def _check_destination(world: World, destination: str) -> None:
    account = world.accounts.get(destination)
    if account is None or account.closed or account.revoked:
        raise no_such("destination", destination, param="destination", status=400)
    check_destination(account.country, account.service_agreement)
    if not any(account.capabilities.get(name) == "active" for name in ABLE_TO_RECEIVE):
        raise StripeError(
            "Your destination account needs to have at least one of the following capabilities enabled:"
            " transfers, crypto_transfers, legacy_payments",
            code="insufficient_capabilities_for_transfer",
        )
