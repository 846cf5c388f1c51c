"""The one place where a payment, refund or dispute changes: stored, booked as truth, announced."""

from __future__ import annotations

from typing import Any

from sandbox.clock import now
from sandbox.hyperswitch.announcements import announce_dispute, announce_payment, announce_refund
from sandbox.hyperswitch.objects import Dispute, Payment, Refund
from sandbox.ids import new_id
from sandbox.world import World

# A processing or failed payment holds no money of ours, whatever its `amount_received` says.
HOLDING_MONEY = {
    "succeeded",
    "partially_captured",
    "partially_captured_and_capturable",
    "review",
    "conflicted",
}
# The bank takes the money when it opens a real dispute and gives it back when the shop wins.
GIVEN_BACK = {"dispute_won", "dispute_cancelled"}


def change_payment(world: World, payment: Payment, *, silent: bool = False, **changes: Any) -> None:
    """Set these fields, book what was captured by it, and send the webhook the new status has."""
    for name, value in changes.items():
        setattr(payment, name, value)
    payment.modified = now()
    payment.when_synced = None
    _book_payment(world, payment)
    if not silent:
        announce_payment(world, payment)


def change_refund(world: World, refund: Refund, *, silent: bool = False, **changes: Any) -> None:
    for name, value in changes.items():
        setattr(refund, name, value)
    refund.updated = now()
    refund.when_synced = None
    paid_back = refund.amount if refund.status == "succeeded" else 0
    world.truth.moved("refund", refund.refund_id, paid_back - refund.booked, refund.currency, refund.payment_id)
    refund.booked = paid_back
    if not silent:
        announce_refund(world, refund)


def change_dispute(world: World, dispute: Dispute, *, silent: bool = False, **changes: Any) -> None:
    for name, value in changes.items():
        setattr(dispute, name, value)
    taken = dispute.stage != "pre_dispute" and dispute.status not in GIVEN_BACK
    amount = dispute.amount if taken else 0
    world.truth.moved("dispute", dispute.dispute_id, amount - dispute.booked, dispute.currency, dispute.payment_id)
    dispute.booked = amount
    if not silent:
        announce_dispute(world, dispute)


def apply_attempt(world: World, payment: Payment, outcome: str, *, error: tuple[str, str] | None = None) -> None:
    """One try to pay, by the page, by the API or off session, and what came of it."""
    changes: dict[str, Any] = {
        "attempts": payment.attempts + (1 if payment.connector_transaction_id else 0),
        "connector_transaction_id": new_id("pi_", 24),
        "payment_method": payment.payment_method or "card",
        "error_code": None,
        "error_message": None,
    }
    if outcome == "failed":
        code, message = error or ("card_declined", "Your card was declined.")
        changes |= {"error_code": code, "error_message": message}
        change_payment(world, payment, status="failed", **changes)
        return
    _save_payment_method(world, payment)
    change_payment(world, payment, **_captured(payment, outcome), **changes)


def _captured(payment: Payment, outcome: str) -> dict[str, Any]:
    net = payment.net_amount
    if payment.asked.get("capture_method", "automatic") in ("manual", "manual_multiple") and outcome == "succeeded":
        return {"status": "requires_capture", "amount_capturable": net, "amount_received": None}
    if outcome == "processing":
        # As seen in real answers: received equals the amount although nothing has arrived yet.
        return {"status": "processing", "amount_capturable": net, "amount_received": net}
    received = net // 2 if outcome == "partially_captured" else net
    return {"status": outcome, "amount_capturable": 0, "amount_received": received}


def _save_payment_method(world: World, payment: Payment) -> None:
    """Keep the card for later when the shop asked for that and said whose it is."""
    customer = world.customers.get(payment.customer_id or "")
    wanted = payment.asked.get("setup_future_usage") == "off_session"
    if customer and wanted and payment.payment_method_id is None:
        payment.payment_method_id = new_id("pm_")
        customer.payment_methods.append(payment.payment_method_id)


def _book_payment(world: World, payment: Payment) -> None:
    captured = (payment.amount_received or 0) if payment.status in HOLDING_MONEY else 0
    if payment.booked_currency != payment.currency:
        world.truth.moved("payment", payment.payment_id, -payment.booked, payment.booked_currency)
        payment.booked, payment.booked_currency = 0, payment.currency
    world.truth.moved("payment", payment.payment_id, captured - payment.booked, payment.currency)
    payment.booked = captured
