"""`/payments`: create, read, update, confirm, capture, cancel."""

from __future__ import annotations

from datetime import timedelta

from sandbox.clock import now
from sandbox.exchange import Answer, Json, Request, as_json
from sandbox.hyperswitch import bodies
from sandbox.hyperswitch.changes import apply_attempt, change_payment
from sandbox.hyperswitch.checks import (
    SESSION_SECONDS,
    check_amount_to_capture,
    check_confirmable,
    check_create,
    check_saved_method,
    customer_of,
)
from sandbox.hyperswitch.errors import HyperswitchError, missing, no_payment, wrong_state
from sandbox.hyperswitch.objects import Customer, Payment
from sandbox.ids import new_id
from sandbox.settings import MERCHANT_ID
from sandbox.world import World

UPDATABLE = ("requires_payment_method", "requires_confirmation", "requires_customer_action")
CONFIRMABLE = (*UPDATABLE, "failed")  # failed: a manual retry on the same id
NOT_CANCELLABLE = {"succeeded", "failed", "cancelled", "processing", "requires_merchant_action", "review"}
NOT_CANCELLABLE |= {"cancelled_post_capture", "expired", "partially_captured", "conflicted"}
CAPTURABLE = (
    "requires_capture",
    "partially_captured_and_capturable",
    "partially_authorized_and_requires_capture",
)
SYNCED = {
    "processing",
    "requires_customer_action",
    "requires_merchant_action",
    "partially_captured_and_capturable",
    "partially_authorized_and_requires_capture",
    "partially_captured_and_processing",
}
DECLINED_CARD = "4000000000000002"


def find_payment(world: World, payment_id: str) -> Payment:
    payment = world.payments.get(payment_id)
    if payment is None:
        raise no_payment()
    return payment


def create_payment(world: World, request: Request) -> Answer:
    """The id decides: a second call with one `payment_id` is refused, whatever it asks for."""
    asked = bodies.read_body(request, bodies.PAYMENT_CREATE, required=("amount", "currency"))
    check_create(asked)
    method = check_saved_method(world, asked)
    if asked.get("confirm") and method is None and "payment_method_data" not in asked:
        raise missing("payment_method_data")
    payment_id = asked.get("payment_id") or new_id("pay_")
    if payment_id in world.payments:
        raise _already_exists(payment_id)
    payment = _new_payment(asked, payment_id, world.settings.public_url or request.base_url)
    world.payments[payment_id] = payment
    if payment.customer_id:
        world.customers.setdefault(payment.customer_id, Customer(payment.customer_id))
    if asked.get("confirm"):
        _confirm(world, payment, asked, method)
    return as_json(payment.as_json())


def read_payment(world: World, request: Request, payment_id: str) -> Answer:
    payment = find_payment(world, payment_id)
    if request.query_value("force_sync") == "true" and payment.when_synced and payment.status in SYNCED:
        change_payment(world, payment, **payment.when_synced)
    return as_json(_with_children(payment))


def update_payment(world: World, request: Request, payment_id: str) -> Answer:
    asked = bodies.read_body(request, bodies.PAYMENT_UPDATE)
    payment = find_payment(world, payment_id)
    if payment.status not in UPDATABLE:
        raise HyperswitchError(400, "IR_16", f"You cannot update this payment because it has status {payment.status}")
    wanted = {**payment.asked, **asked}
    check_amount_to_capture(wanted)
    method = check_saved_method(world, wanted) if asked.get("confirm") else None
    payment.amount, payment.currency, payment.asked = wanted["amount"], wanted["currency"], wanted
    if "session_expiry" in asked:
        payment.expires = now() + timedelta(seconds=asked["session_expiry"])
    payment.modified = now()
    if asked.get("confirm"):
        _confirm(world, payment, wanted, method)
    return as_json(payment.as_json())


def confirm_payment(world: World, request: Request, payment_id: str) -> Answer:
    asked = bodies.read_body(request, bodies.PAYMENT_CONFIRM)
    payment = find_payment(world, payment_id)
    check_confirmable(payment, CONFIRMABLE)
    secret = asked.pop("client_secret", None)
    if secret is not None and secret != payment.client_secret:
        raise HyperswitchError(400, "IR_09", "The client_secret provided does not match the client_secret found")
    wanted = {**payment.asked, **asked}
    method = check_saved_method(world, wanted)
    if method is None and "payment_method_data" not in wanted:
        raise missing("payment_method_data")
    payment.asked = wanted
    _confirm(world, payment, wanted, method)
    return as_json(payment.as_json())


def capture_payment(world: World, request: Request, payment_id: str) -> Answer:
    asked = bodies.read_body(request, bodies.PAYMENT_CAPTURE)
    payment = find_payment(world, payment_id)
    if payment.status not in CAPTURABLE:
        raise wrong_state("captured", payment.status, ", ".join(CAPTURABLE))
    amount = asked.get("amount_to_capture", payment.amount_capturable)
    if amount <= 0 or amount > payment.amount_capturable:
        raise HyperswitchError(422, "IR_06", "amount_to_capture is greater than amount")
    received = (payment.amount_received or 0) + amount
    left = payment.amount_capturable - amount
    status = "succeeded" if left == 0 else "partially_captured"
    if left and payment.asked.get("capture_method") == "manual_multiple":
        status = "partially_captured_and_capturable"
    capturable = left if status == "partially_captured_and_capturable" else 0
    change_payment(world, payment, status=status, amount_received=received, amount_capturable=capturable)
    return as_json(payment.as_json())


def cancel_payment(world: World, request: Request, payment_id: str) -> Answer:
    asked = bodies.read_body(request, bodies.PAYMENT_CANCEL)
    payment = find_payment(world, payment_id)
    if payment.status in NOT_CANCELLABLE:
        raise wrong_state("cancelled", payment.status, ", ".join((*UPDATABLE, "requires_capture")))
    change_payment(
        world,
        payment,
        status="cancelled",
        amount_capturable=0,
        cancellation_reason=asked.get("cancellation_reason"),
    )
    return as_json(payment.as_json())


def _confirm(world: World, payment: Payment, asked: Json, method: str | None) -> None:
    """Charge the saved method if one is named, else the card given. A decline is an answer, not an error."""
    if method is not None:
        payment.payment_method_id = method
        customer = world.customers[payment.customer_id or ""]
        error = (customer.error_code, customer.error_message)
        apply_attempt(world, payment, customer.off_session_outcome, error=error)
        return
    card = (asked.get("payment_method_data") or {}).get("card") or {}
    declined = isinstance(card, dict) and card.get("card_number") == DECLINED_CARD
    apply_attempt(world, payment, "failed" if declined else world.settings.payment_outcome)


def _new_payment(asked: Json, payment_id: str, base_url: str) -> Payment:
    at = now()
    link = f"{base_url}/payment_link/{MERCHANT_ID}/{payment_id}?locale=en"
    return Payment(
        payment_id=payment_id,
        amount=asked["amount"],
        currency=asked["currency"],
        asked=asked,
        client_secret=new_id(f"{payment_id}_secret_"),
        created=at,
        expires=at + timedelta(seconds=asked.get("session_expiry", SESSION_SECONDS)),
        customer_id=customer_of(asked),
        booked_currency=asked["currency"],
        link=(
            {"link": link, "secure_link": None, "payment_link_id": new_id("plink_")}
            if asked.get("payment_link")
            else None
        ),
    )


def _with_children(payment: Payment) -> Json:
    refunds = [refund.as_json() for refund in payment.refunds]
    disputes = [dispute.summary() for dispute in payment.disputes]
    return {**payment.as_json(), "refunds": refunds or None, "disputes": disputes or None}


def _already_exists(payment_id: str) -> HyperswitchError:
    return HyperswitchError(
        400,
        "HE_01",
        "The payment with the specified payment_id already exists in our records",
        reason=f'PaymentId("{payment_id}") already exists',
    )
