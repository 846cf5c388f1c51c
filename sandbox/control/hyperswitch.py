"""What happens at Hyperswitch without an API call: banks, the dashboard, the passing of time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from sandbox.clock import now
from sandbox.control.door import ControlError
from sandbox.control.params import find_object, read_amount, read_choice, read_params
from sandbox.exchange import Answer, Json, Request, as_json
from sandbox.hyperswitch.announcements import MANDATE_EVENTS, PAYMENT_EVENTS, REFUND_EVENTS, announce_mandate
from sandbox.hyperswitch.changes import change_dispute, change_payment, change_refund
from sandbox.hyperswitch.objects import ERROR_DETAILS, Customer, Dispute, Payment
from sandbox.hyperswitch.refunds import REFUND_ERROR, open_refund
from sandbox.ids import new_id
from sandbox.settings import OFF_SESSION_OUTCOMES, PROFILE_ID
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
    f"dispute_{stage}" for stage in ["opened", "expired", "accepted", "cancelled", "challenged", "won", "lost"]
)
DISPUTE_STAGES = ("pre_dispute", "dispute", "pre_arbitration", "arbitration", "dispute_reversal")
CAPTURED = ("succeeded", "partially_captured", "processing")


def force_payment(world: World, request: Request, payment_id: str) -> Answer:
    """Change a payment as its bank would. `when_synced`: it stays hidden until a forced sync."""
    extras = ("silent", "when_synced", "expire", "age_days")
    params = read_params(request, (*PAYMENT_FIELDS, *extras))
    payment = find_object(world.payments, payment_id, "payment")
    if params.get("expire"):
        payment.expires_at = now()
    if "age_days" in params:
        payment.created_at = now() - timedelta(days=read_amount(params, "age_days", least=0))
    changes = _changes(params, PAYMENT_FIELDS)
    if "status" in changes:
        read_choice(changes, "status", PAYMENT_EVENTS)
        changes = {**_fields_implied_by(payment, changes["status"]), **changes}
    if params.get("when_synced"):
        payment.when_synced = changes
    elif changes:
        change_payment(world, payment, silent=bool(params.get("silent")), **changes)
    return as_json(payment.as_json())


def force_refund(world: World, request: Request, refund_id: str) -> Answer:
    """Change a refund as its bank would, including a return by the bank (succeeded, then failed)."""
    params = read_params(request, (*REFUND_FIELDS, "silent", "when_synced"))
    refund = find_object(world.refunds, refund_id, "refund")
    changes = _changes(params, REFUND_FIELDS)
    if "status" in changes and read_choice(changes, "status", REFUND_EVENTS) == "failed":
        changes = {"error_code": REFUND_ERROR[0], "error_message": REFUND_ERROR[1], **changes}
    if params.get("when_synced"):
        refund.when_synced = changes
    else:
        change_refund(world, refund, silent=bool(params.get("silent")), **changes)
    return as_json(refund.as_json())


def refund_at_dashboard(world: World, request: Request) -> Answer:
    """An external refund: the shop's back-end did not request it. Usually in the currency of its payment."""
    params = read_params(request, ("payment_id", "amount", "currency", "status", "reason", "refund_id", "silent"))
    payment = find_object(world.payments, params.get("payment_id"), "payment")
    refund_id = params.get("refund_id") or new_id("ref_")
    if refund_id in world.refunds:
        raise ControlError(f"there is a refund {refund_id!r} already", 409)
    status = read_choice(params, "status", REFUND_EVENTS, "succeeded")
    refund = open_refund(world, payment, amount=read_amount(params, "amount"), refund_id=refund_id, params=params)
    currency = params.get("currency", payment.currency)
    change_refund(world, refund, status=status, currency=currency, silent=bool(params.get("silent")))
    return as_json(refund.as_json(), 201)


def open_dispute(world: World, request: Request) -> Answer:
    """A bank disputes a payment; the amount may exceed that of the payment."""
    fields = ("payment_id", "amount", "stage", "status", "currency", "reason", "reason_code", "dispute_id")
    params = read_params(request, (*fields, "silent"))
    payment = find_object(world.payments, params.get("payment_id"), "payment")
    dispute_id = params.get("dispute_id") or new_id("dp_")
    if dispute_id in world.disputes:
        raise ControlError(f"there is a dispute {dispute_id!r} already", 409)
    dispute = Dispute(
        dispute_id=dispute_id,
        payment_id=payment.payment_id,
        attempt_id=f"{payment.payment_id}_{payment.attempts}",
        amount=read_amount(params, "amount"),
        currency=params.get("currency", payment.currency),
        created_at=now(),
        profile_id=payment.params.get("profile_id", PROFILE_ID),
        stage=read_choice(params, "stage", DISPUTE_STAGES, "dispute"),
        status=read_choice(params, "status", DISPUTE_STATUSES, "dispute_opened"),
        reason=params.get("reason", "fraudulent"),
        reason_code=params.get("reason_code", "10.4"),
    )
    world.disputes[dispute_id] = dispute
    payment.disputes.append(dispute)
    change_dispute(world, dispute, silent=bool(params.get("silent")))
    return as_json(dispute.as_json(), 201)


def force_dispute(world: World, request: Request, dispute_id: str) -> Answer:
    params = read_params(request, ("status", "stage", "amount", "currency", "silent"))
    dispute = find_object(world.disputes, dispute_id, "dispute")
    changes: dict[str, Any] = {}
    if "status" in params:
        changes["status"] = read_choice(params, "status", DISPUTE_STATUSES)
    if "stage" in params:
        changes["stage"] = read_choice(params, "stage", DISPUTE_STAGES)
    if "amount" in params:
        changes["amount"] = read_amount(params, "amount")
    if "currency" in params:
        changes["currency"] = params["currency"]
    change_dispute(world, dispute, silent=bool(params.get("silent")), **changes)
    return as_json(dispute.as_json())


def set_customer(world: World, request: Request, customer_id: str) -> Answer:
    """Set the outcome of the next off-session charges of a customer's saved payment method."""
    names = ("off_session_outcome", "error_code", "error_message", "error_details", "card_expires", "payment_methods")
    params = read_params(request, names)
    customer = world.customers.setdefault(customer_id, Customer(customer_id))
    customer.off_session_outcome = read_choice(
        params, "off_session_outcome", OFF_SESSION_OUTCOMES, customer.off_session_outcome
    )
    if unknown := set(params.get("error_details", {})) - set(ERROR_DETAILS):
        raise ControlError(f"error_details are {', '.join(ERROR_DETAILS)}, not {', '.join(sorted(unknown))}")
    customer.error_details = params.get("error_details", customer.error_details)
    customer.card_expires = params.get("card_expires", customer.card_expires)
    customer.error_code = params.get("error_code", customer.error_code)
    customer.error_message = params.get("error_message", customer.error_message)
    customer.payment_methods = params.get("payment_methods", customer.payment_methods)
    return as_json(vars(customer))


def revoke_mandate(world: World, request: Request, payment_method_id: str) -> Answer:
    """A payer revokes the mandate of a saved payment method: it cannot be charged any more."""
    params = read_params(request, ("status",))
    owners = [one for one in world.customers.values() if payment_method_id in one.payment_methods]
    if not owners:
        raise ControlError(f"no payment method {payment_method_id}")
    status = read_choice(params, "status", MANDATE_EVENTS, "revoked")
    if status == "revoked":
        owners[0].payment_methods.remove(payment_method_id)
    return as_json(announce_mandate(world, payment_method_id, status))


def _changes(params: Json, fields: Iterable[str]) -> Json:
    for name in AMOUNTS:
        if params.get(name) is not None:
            read_amount(params, name, least=0)
    return {name: params[name] for name in fields if name in params}


def _fields_implied_by(payment: Payment, status: str) -> Json:
    """The fields that usually change with a status, unless the caller sets them."""
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
