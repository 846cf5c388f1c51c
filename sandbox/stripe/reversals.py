"""`/v1/transfers/{id}/reversals`: money back from a seller. A reversal is final."""

from __future__ import annotations

import time

from sandbox.exchange import Answer, Json, Request, as_json
from sandbox.ids import new_id
from sandbox.stripe.amounts import check_amount
from sandbox.stripe.announcements import announce
from sandbox.stripe.errors import StripeError, insufficient_connected_funds, no_such
from sandbox.stripe.forms import decode, merge_metadata, read_params
from sandbox.stripe.lists import PAGING, page_of
from sandbox.stripe.objects import Transfer
from sandbox.stripe.transfers import find_transfer
from sandbox.world import PLATFORM, World

CREATE = {"amount": "int", "description": "str", "metadata": "map", "refund_application_fee": "bool"}


def create_reversal(world: World, request: Request, transfer_id: str) -> Answer:
    """Without an amount: everything not yet reversed."""
    params = read_params(decode(request.form_pairs()), CREATE)
    transfer = find_transfer(world, transfer_id)
    check_amount(params, transfer.currency)
    metadata = merge_metadata({}, params.get("metadata") or {})
    return as_json(reverse(world, transfer, params.get("amount"), metadata=metadata, cause=request))


def reverse(
    world: World,
    transfer: Transfer,
    amount: int | None,
    *,
    metadata: dict[str, str],
    cause: Request | None,
) -> Json:
    """Reverse `amount`, or all that remains. Raises StripeError."""
    remaining = transfer.remaining()
    if remaining == 0:
        # Stripe has no code for this refusal.
        raise StripeError(f"The transfer {transfer.id} is already fully reversed.")
    amount = remaining if amount is None else amount
    if amount > remaining:
        raise StripeError(
            f"Transfer reversal amount ({amount}) is greater than unreversed amount on transfer ({remaining})",
            param="amount",
        )
    account = world.accounts[transfer.destination]
    if not account.may_go_negative and world.balance(account.id, transfer.currency) < amount:
        raise insufficient_connected_funds()
    return _record_reversal(world, transfer, amount, metadata=metadata, cause=cause)


def list_reversals(world: World, request: Request, transfer_id: str) -> Answer:
    params = read_params(decode(request.query_pairs()), PAGING)
    transfer = find_transfer(world, transfer_id)
    url = f"/v1/transfers/{transfer.id}/reversals"
    return page_of(transfer.reversals[::-1], params, url=url, what="transfer reversal")


def read_reversal(world: World, request: Request, transfer_id: str, reversal_id: str) -> Answer:
    read_params(decode(request.query_pairs()), {})
    return as_json(_find(find_transfer(world, transfer_id), reversal_id))


def update_reversal(world: World, request: Request, transfer_id: str, reversal_id: str) -> Answer:
    params = read_params(decode(request.form_pairs()), {"metadata": "map"})
    reversal = _find(find_transfer(world, transfer_id), reversal_id)
    reversal["metadata"] = merge_metadata(reversal["metadata"], params.get("metadata") or {})
    return as_json(reversal)


def _find(transfer: Transfer, reversal_id: str) -> Json:
    for reversal in transfer.reversals:
        if reversal["id"] == reversal_id:
            return reversal
    raise no_such("transfer reversal", reversal_id)


def _record_reversal(
    world: World, transfer: Transfer, amount: int, *, metadata: dict[str, str], cause: Request | None
) -> Json:
    reversal: Json = {
        "id": new_id("trr_", 24),
        "object": "transfer_reversal",
        "amount": amount,
        "balance_transaction": new_id("txn_", 24),
        "created": int(time.time()),
        "currency": transfer.currency,
        "destination_payment_refund": new_id("pyr_", 24),
        "metadata": metadata,
        "source_refund": None,
        "transfer": transfer.id,
    }
    previous = {"amount_reversed": transfer.amount_reversed}
    transfer.reversals.append(reversal)
    transfer.amount_reversed += amount
    world.add_to_balance(transfer.destination, transfer.currency, -amount)
    world.add_to_balance(PLATFORM, transfer.currency, amount)
    world.truth.record_movement("reversal", reversal["id"], amount, transfer.currency, transfer.id)
    # Partial reversals send this event too.
    announce(world, "transfer.reversed", transfer.as_json(), cause=cause, previous=previous)
    return reversal
