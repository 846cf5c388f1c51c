"""The only place where a payment, refund or dispute changes: state, ground truth, webhook."""

from __future__ import annotations

from typing import Any

from sandbox.clock import now
from sandbox.exchange import Json
from sandbox.hyperswitch.announcements import announce_dispute, announce_payment, announce_refund
from sandbox.hyperswitch.objects import Dispute, Payment, Refund
from sandbox.ids import new_id
from sandbox.world import World

# A processing or failed payment holds no money, whatever its `amount_received` says.
HOLDING_MONEY = {
    "succeeded",
    "partially_captured",
    "partially_captured_and_capturable",
    "review",
    "conflicted",
}
# The bank withdraws the money when it opens a real dispute and returns it when the shop wins.
MONEY_RETURNED = {"dispute_won", "dispute_cancelled"}


def change_payment(world: World, payment: Payment, *, silent: bool = False, **changes: Any) -> None:
    """Set these fields, record the captured amount, and send the webhook of the new status."""
    for name, value in changes.items():
        setattr(payment, name, value)
    payment.modified_at = now()
    payment.when_synced = None
    _record_payment(world, payment)
    if not silent:
        announce_payment(world, payment)


def change_refund(world: World, refund: Refund, *, silent: bool = False, **changes: Any) -> None:
    for name, value in changes.items():
        setattr(refund, name, value)
    refund.updated_at = now()
    refund.when_synced = None
    refunded_amount = refund.amount if refund.status == "succeeded" else 0
    change = refunded_amount - refund.booked_amount
    world.truth.record_movement("refund", refund.refund_id, change, refund.currency, refund.payment_id)
    refund.booked_amount = refunded_amount
    if not silent:
        announce_refund(world, refund)


def change_dispute(world: World, dispute: Dispute, *, silent: bool = False, **changes: Any) -> None:
    for name, value in changes.items():
        setattr(dispute, name, value)
    holds_money = dispute.stage != "pre_dispute" and dispute.status not in MONEY_RETURNED
    amount = dispute.amount if holds_money else 0
    if dispute.booked_currency != dispute.currency:
        amount_before, currency_before = dispute.booked_amount, dispute.booked_currency
        world.truth.record_movement("dispute", dispute.dispute_id, -amount_before, currency_before, dispute.payment_id)
        dispute.booked_amount, dispute.booked_currency = 0, dispute.currency
    change = amount - dispute.booked_amount
    world.truth.record_movement("dispute", dispute.dispute_id, change, dispute.currency, dispute.payment_id)
    dispute.booked_amount = amount
    if not silent:
        announce_dispute(world, dispute)


def apply_attempt(
    world: World,
    payment: Payment,
    outcome: str,
    *,
    error: tuple[str, str] | None = None,
    error_details: Json | None = None,
) -> None:
    """One attempt to pay, on the page, by API or off session, with its outcome."""
    changes: dict[str, Any] = {
        "attempts": payment.attempts + (1 if payment.connector_transaction_id else 0),
        "connector_transaction_id": new_id("pi_", 24),
        "payment_method": payment.payment_method or "card",
        "error_code": None,
        "error_message": None,
        "error_details": error_details or {},
    }
    if outcome == "failed":
        code, message = error or ("card_declined", "Your card was declined.")
        changes |= {"error_code": code, "error_message": message}
        change_payment(world, payment, status="failed", **changes)
        return
    if outcome == "requires_customer_action":
        # The payer's bank asks for them: no money is held, and nothing is saved.
        changes["next_action"] = {"type": "redirect_to_url", "redirect_to_url": "https://bank.example/3ds"}
        change_payment(world, payment, status=outcome, **changes)
        return
    _save_payment_method(world, payment)
    change_payment(world, payment, **_capture_fields(payment, outcome), **changes)


def _capture_fields(payment: Payment, outcome: str) -> dict[str, Any]:
    net = payment.net_amount
    if payment.params.get("capture_method", "automatic") in ("manual", "manual_multiple") and outcome == "succeeded":
        return {"status": "requires_capture", "amount_capturable": net, "amount_received": None}
    if outcome == "processing":
        # As in real answers: received equals the amount although no money has arrived yet.
        return {"status": "processing", "amount_capturable": net, "amount_received": net}
    amount_received = net // 2 if outcome == "partially_captured" else net
    return {"status": outcome, "amount_capturable": 0, "amount_received": amount_received}


def _save_payment_method(world: World, payment: Payment) -> None:
    """Save the card if the shop requested that and named the customer."""
    customer = world.customers.get(payment.customer_id or "")
    may_save = payment.params.get("setup_future_usage") == "off_session"
    if customer and may_save and payment.payment_method_id is None:
        payment.payment_method_id = new_id("pm_")
        payment.card_expires = customer.card_expires
        customer.payment_methods.append(payment.payment_method_id)


def _record_payment(world: World, payment: Payment) -> None:
    captured_amount = (payment.amount_received or 0) if payment.status in HOLDING_MONEY else 0
    if payment.booked_currency != payment.currency:
        world.truth.record_movement("payment", payment.payment_id, -payment.booked_amount, payment.booked_currency)
        payment.booked_amount, payment.booked_currency = 0, payment.currency
    change = captured_amount - payment.booked_amount
    world.truth.record_movement("payment", payment.payment_id, change, payment.currency)
    payment.booked_amount = captured_amount
