"""`/refunds`: the nine checks in the server's order, then `pending` until the bank answers."""

from __future__ import annotations

from datetime import timedelta

from sandbox.clock import now
from sandbox.exchange import Answer, Json, Request, as_json
from sandbox.hyperswitch import bodies
from sandbox.hyperswitch.changes import change_refund
from sandbox.hyperswitch.checks import check_id
from sandbox.hyperswitch.errors import (
    HyperswitchError,
    invalid_format,
    no_payment,
    no_refund,
    refund_exceeds_payment,
    wrong_state,
)
from sandbox.hyperswitch.objects import Payment, Refund
from sandbox.ids import new_id
from sandbox.settings import PROFILE_ID
from sandbox.world import World

REFUNDABLE = ("succeeded", "partially_captured")
MAX_REFUNDS = 10
MAX_AGE = timedelta(days=365)
LOST = ("dispute_lost", "dispute_accepted", "dispute_expired")
REFUND_ERROR = ("54", "The referenced transaction does not meet the criteria for issuing a credit.")


def find_refund(world: World, refund_id: str) -> Refund:
    refund = world.refunds.get(refund_id)
    if refund is None:
        raise no_refund()
    return refund


def create_refund(world: World, request: Request) -> Answer:
    params = bodies.read_body(request, bodies.REFUND_CREATE, mandatory=("payment_id",))
    if "refund_id" in params:
        check_id("refund_id", params["refund_id"])
    if len(params.get("reason", "")) > 255:
        raise invalid_format("reason", "at most 255 characters")
    payment = world.payments.get(params["payment_id"])
    if payment is None:
        raise no_payment()
    amount = params.get("amount", payment.amount_received or 0)
    check_refund(payment, amount)
    refund_id = params.get("refund_id") or new_id("ref_")
    if refund_id in world.refunds:
        message = "Duplicate refund request. Refund already attempted with the refund ID"
        raise HyperswitchError(400, "HE_01", message)
    refund = open_refund(world, payment, amount=amount, refund_id=refund_id, params=params)
    settle_later(world, refund)
    return as_json(refund.as_json())


def check_refund(payment: Payment, amount: int) -> None:
    """Checks 2 to 7. The order is part of the contract: a repeated full refund fails here, never as a duplicate."""
    if payment.status not in REFUNDABLE:
        raise wrong_state("refund", payment.status, ", ".join(REFUNDABLE))
    refunds = payment.refunds
    captured_amount = payment.amount_received or 0
    unavailable_amount = sum(refund.amount for refund in refunds if refund.status == "succeeded")
    unavailable_amount += sum(dispute.amount for dispute in payment.disputes if dispute.status in LOST)
    if unavailable_amount + amount > captured_amount:
        raise refund_exceeds_payment()
    if amount <= 0:
        raise invalid_format("amount", "positive integer")
    if now() - payment.created_at > MAX_AGE:
        raise invalid_format("created_at", "a payment of the last 365 days")
    if amount > captured_amount - sum(refund.amount for refund in refunds if refund.status != "failed"):
        raise refund_exceeds_payment()
    if len(refunds) > MAX_REFUNDS:
        raise HyperswitchError(400, "IR_12", "Reached maximum refund attempts")


def open_refund(world: World, payment: Payment, *, amount: int, refund_id: str, params: Json) -> Refund:
    """Store a pending refund."""
    at = now()
    refund = Refund(
        refund_id=refund_id,
        payment_id=payment.payment_id,
        amount=amount,
        currency=payment.currency,
        created_at=at,
        updated_at=at,
        profile_id=payment.params.get("profile_id", PROFILE_ID),
        reason=params.get("reason"),
        metadata=params.get("metadata"),
        split_refunds=params.get("split_refunds"),
        connector_refund_id=new_id("re_", 24),
    )
    world.refunds[refund_id] = refund
    payment.refunds.append(refund)
    return refund


def settle_later(world: World, refund: Refund) -> None:
    """Schedule the outcome that the settings name; `stay_pending` waits for the control API."""
    outcome = world.settings.refund_outcome
    if outcome == "succeed_at_once":
        change_refund(world, refund, status="succeeded")
    elif outcome != "stay_pending":
        world.later(world.settings.refund_delay_seconds, lambda: _settle(world, refund, outcome))


def read_refund(world: World, request: Request, refund_id: str) -> Answer:
    return _sync(world, refund_id, force=request.query_value("force_sync") == "true")


def sync_refund(world: World, request: Request) -> Answer:
    params = bodies.read_body(request, bodies.REFUND_SYNC, mandatory=("refund_id",))
    return _sync(world, params["refund_id"], force=params.get("force_sync", False))


def update_refund(world: World, request: Request, refund_id: str) -> Answer:
    params = bodies.read_body(request, bodies.REFUND_UPDATE)
    refund = find_refund(world, refund_id)
    refund.reason = params.get("reason", refund.reason)
    refund.metadata = params.get("metadata", refund.metadata)
    refund.updated_at = now()
    return as_json(refund.as_json())


def _sync(world: World, refund_id: str, *, force: bool) -> Answer:
    refund = find_refund(world, refund_id)
    if force and refund.when_synced and refund.status not in ("succeeded", "failed"):
        change_refund(world, refund, **refund.when_synced)
    return as_json(refund.as_json())


def _settle(world: World, refund: Refund, outcome: str) -> None:
    if refund.status != "pending":
        return  # the control API changed it first
    if outcome == "succeed":
        change_refund(world, refund, status="succeeded")
    elif outcome == "fail":
        code, message = REFUND_ERROR
        change_refund(world, refund, status="failed", error_code=code, error_message=message)
    else:
        change_refund(world, refund, status="review", error_code="IE", error_message="Integrity check failed")
