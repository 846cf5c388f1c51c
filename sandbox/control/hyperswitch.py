"""What happens at Hyperswitch without anybody calling it: banks, dashboards, time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from sandbox.clock import now
from sandbox.control.asked import amount_in, known, one_of, read_asked
from sandbox.control.door import ControlError
from sandbox.exchange import Answer, Json, Request, as_json
from sandbox.hyperswitch.announcements import PAYMENT_EVENTS, REFUND_EVENTS
from sandbox.hyperswitch.changes import change_dispute, change_payment, change_refund
from sandbox.hyperswitch.objects import Customer, Dispute, Payment
from sandbox.hyperswitch.refunds import REFUND_ERROR, open_refund
from sandbox.ids import new_id
from sandbox.settings import PAYMENT_OUTCOMES, PROFILE_ID
from sandbox.world import World

PAYMENT_FIELDS = [
    "status",
    "amount",
    "amount_received",
    "amount_capturable",
    "currency",
    "error_code",
    "error_message",
    "cancellation_reason",
    "payment_method",
]
AMOUNTS = ("amount", "amount_received", "amount_capturable")
REFUND_FIELDS = ("status", "amount", "currency", "error_code", "error_message")
DISPUTE_STATUSES = tuple(
    f"dispute_{word}" for word in ["opened", "expired", "accepted", "cancelled", "challenged", "won", "lost"]
)
DISPUTE_STAGES = ("pre_dispute", "dispute", "pre_arbitration", "arbitration", "dispute_reversal")
CAPTURED = ("succeeded", "partially_captured", "processing")


def force_payment(world: World, request: Request, payment_id: str) -> Answer:
    """Change a payment as its bank would. `when_synced`: nobody is told until a forced sync asks."""
    extras = ("silent", "when_synced", "expire", "age_days")
    asked = read_asked(request, (*PAYMENT_FIELDS, *extras))
    payment = known(world.payments, payment_id, "payment")
    if asked.get("expire"):
        payment.expires = now()
    if "age_days" in asked:
        payment.created = now() - timedelta(days=amount_in(asked, "age_days", least=0))
    changes = _changes(asked, PAYMENT_FIELDS)
    if "status" in changes:
        one_of(changes, "status", PAYMENT_EVENTS)
        changes = {**_that_goes_with(payment, changes["status"]), **changes}
    if asked.get("when_synced"):
        payment.when_synced = changes
    elif changes:
        change_payment(world, payment, silent=bool(asked.get("silent")), **changes)
    return as_json(payment.as_json())


def force_refund(world: World, request: Request, refund_id: str) -> Answer:
    """Change a refund as its bank would, a bounce (succeeded, then failed) included."""
    asked = read_asked(request, (*REFUND_FIELDS, "silent", "when_synced"))
    refund = known(world.refunds, refund_id, "refund")
    changes = _changes(asked, REFUND_FIELDS)
    if "status" in changes and one_of(changes, "status", REFUND_EVENTS) == "failed":
        changes = {"error_code": REFUND_ERROR[0], "error_message": REFUND_ERROR[1], **changes}
    if asked.get("when_synced"):
        refund.when_synced = changes
    else:
        change_refund(world, refund, silent=bool(asked.get("silent")), **changes)
    return as_json(refund.as_json())


def refund_at_dashboard(world: World, request: Request) -> Answer:
    """A refund that the shop's own back-end never asked for."""
    asked = read_asked(request, ("payment_id", "amount", "status", "reason", "refund_id", "silent"))
    payment = known(world.payments, asked.get("payment_id"), "payment")
    refund_id = asked.get("refund_id") or new_id("ref_")
    if refund_id in world.refunds:
        raise ControlError(f"there is a refund {refund_id!r} already", 409)
    status = one_of(asked, "status", REFUND_EVENTS, "succeeded")
    refund = open_refund(world, payment, amount=amount_in(asked, "amount"), refund_id=refund_id, asked=asked)
    change_refund(world, refund, status=status, silent=bool(asked.get("silent")))
    return as_json(refund.as_json(), 201)


def open_dispute(world: World, request: Request) -> Answer:
    """A bank asks for its customer's money back; the amount may exceed the payment's."""
    fields = ("payment_id", "amount", "stage", "status", "currency", "reason", "reason_code", "dispute_id")
    asked = read_asked(request, (*fields, "silent"))
    payment = known(world.payments, asked.get("payment_id"), "payment")
    dispute_id = asked.get("dispute_id") or new_id("dp_")
    if dispute_id in world.disputes:
        raise ControlError(f"there is a dispute {dispute_id!r} already", 409)
    dispute = Dispute(
        dispute_id=dispute_id,
        payment_id=payment.payment_id,
        attempt_id=f"{payment.payment_id}_{payment.attempts}",
        amount=amount_in(asked, "amount"),
        currency=asked.get("currency", payment.currency),
        created=now(),
        profile_id=payment.asked.get("profile_id", PROFILE_ID),
        stage=one_of(asked, "stage", DISPUTE_STAGES, "dispute"),
        status=one_of(asked, "status", DISPUTE_STATUSES, "dispute_opened"),
        reason=asked.get("reason", "fraudulent"),
        reason_code=asked.get("reason_code", "10.4"),
    )
    world.disputes[dispute_id] = dispute
    payment.disputes.append(dispute)
    change_dispute(world, dispute, silent=bool(asked.get("silent")))
    return as_json(dispute.as_json(), 201)


def force_dispute(world: World, request: Request, dispute_id: str) -> Answer:
    asked = read_asked(request, ("status", "stage", "amount", "silent"))
    dispute = known(world.disputes, dispute_id, "dispute")
    changes: dict[str, Any] = {}
    if "status" in asked:
        changes["status"] = one_of(asked, "status", DISPUTE_STATUSES)
    if "stage" in asked:
        changes["stage"] = one_of(asked, "stage", DISPUTE_STAGES)
    if "amount" in asked:
        changes["amount"] = amount_in(asked, "amount")
    change_dispute(world, dispute, silent=bool(asked.get("silent")), **changes)
    return as_json(dispute.as_json())


def set_customer(world: World, request: Request, customer_id: str) -> Answer:
    """What becomes of the next off-session charges of a customer's saved payment method."""
    asked = read_asked(request, ("off_session_outcome", "error_code", "error_message", "payment_methods"))
    customer = world.customers.setdefault(customer_id, Customer(customer_id))
    customer.off_session_outcome = one_of(asked, "off_session_outcome", PAYMENT_OUTCOMES, customer.off_session_outcome)
    customer.error_code = asked.get("error_code", customer.error_code)
    customer.error_message = asked.get("error_message", customer.error_message)
    customer.payment_methods = asked.get("payment_methods", customer.payment_methods)
    return as_json(vars(customer))


def _changes(asked: Json, fields: Iterable[str]) -> Json:
    for name in AMOUNTS:
        if asked.get(name) is not None:
            amount_in(asked, name, least=0)
    return {name: asked[name] for name in fields if name in asked}


def _that_goes_with(payment: Payment, status: str) -> Json:
    """What a status usually brings along, unless the caller says otherwise."""
    if status == "failed":
        return {
            "error_code": "card_declined",
            "error_message": "Your card was declined.",
            "amount_received": None,
        }
    if status not in CAPTURED:
        return {}
    return {
        "amount_received": payment.net_amount // 2 if status == "partially_captured" else payment.net_amount,
        "amount_capturable": payment.net_amount if status == "processing" else 0,
        "connector_transaction_id": payment.connector_transaction_id or new_id("pi_", 24),
        "payment_method": payment.payment_method or "card",
        "error_code": None,
        "error_message": None,
    }
