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
    """A second call with the same `payment_id` is refused, whatever its parameters."""
    params = bodies.read_body(request, bodies.PAYMENT_CREATE, mandatory=("amount", "currency"))
    check_create(params)
    method = check_saved_method(world, params)
    if params.get("confirm") and method is None and "payment_method_data" not in params:
        raise missing("payment_method_data")
    payment_id = params.get("payment_id") or new_id("pay_")
    if payment_id in world.payments:
        raise _duplicate_payment(payment_id)
    payment = _new_payment(params, payment_id, world.settings.public_url or request.base_url)
    world.payments[payment_id] = payment
    if payment.customer_id:
        world.customers.setdefault(payment.customer_id, Customer(payment.customer_id))
    if params.get("confirm"):
        _confirm(world, payment, params, method)
    return as_json(payment.as_json())


def read_payment(world: World, request: Request, payment_id: str) -> Answer:
    payment = find_payment(world, payment_id)
    if request.query_value("force_sync") == "true" and payment.when_synced and payment.status in SYNCED:
        change_payment(world, payment, **payment.when_synced)
    return as_json(_with_refunds_and_disputes(payment))


def update_payment(world: World, request: Request, payment_id: str) -> Answer:
    params = bodies.read_body(request, bodies.PAYMENT_UPDATE)
    payment = find_payment(world, payment_id)
    if payment.status not in UPDATABLE:
        raise HyperswitchError(400, "IR_16", f"You cannot update this payment because it has status {payment.status}")
    new_params = {**payment.params, **params}
    check_amount_to_capture(new_params)
    method = check_saved_method(world, new_params) if params.get("confirm") else None
    payment.amount, payment.currency, payment.params = new_params["amount"], new_params["currency"], new_params
    if "session_expiry" in params:
        payment.expires_at = now() + timedelta(seconds=params["session_expiry"])
    payment.modified_at = now()
    if params.get("confirm"):
        _confirm(world, payment, new_params, method)
    return as_json(payment.as_json())


def confirm_payment(world: World, request: Request, payment_id: str) -> Answer:
    params = bodies.read_body(request, bodies.PAYMENT_CONFIRM)
    payment = find_payment(world, payment_id)
    check_confirmable(payment, CONFIRMABLE)
    secret = params.pop("client_secret", None)
    if secret is not None and secret != payment.client_secret:
        raise HyperswitchError(400, "IR_09", "The client_secret provided does not match the client_secret found")
    new_params = {**payment.params, **params}
    method = check_saved_method(world, new_params)
    if method is None and "payment_method_data" not in new_params:
        raise missing("payment_method_data")
    payment.params = new_params
    _confirm(world, payment, new_params, method)
    return as_json(payment.as_json())


def capture_payment(world: World, request: Request, payment_id: str) -> Answer:
    params = bodies.read_body(request, bodies.PAYMENT_CAPTURE)
    payment = find_payment(world, payment_id)
    if payment.status not in CAPTURABLE:
        raise wrong_state("captured", payment.status, ", ".join(CAPTURABLE))
    amount = params.get("amount_to_capture", payment.amount_capturable)
    if amount <= 0 or amount > payment.amount_capturable:
        raise HyperswitchError(422, "IR_06", "amount_to_capture is greater than amount")
    amount_received = (payment.amount_received or 0) + amount
    remaining = payment.amount_capturable - amount
    status = "succeeded" if remaining == 0 else "partially_captured"
    if remaining and payment.params.get("capture_method") == "manual_multiple":
        status = "partially_captured_and_capturable"
    capturable = remaining if status == "partially_captured_and_capturable" else 0
    change_payment(world, payment, status=status, amount_received=amount_received, amount_capturable=capturable)
    return as_json(payment.as_json())


def cancel_payment(world: World, request: Request, payment_id: str) -> Answer:
    params = bodies.read_body(request, bodies.PAYMENT_CANCEL)
    payment = find_payment(world, payment_id)
    if payment.status in NOT_CANCELLABLE:
        raise wrong_state("cancelled", payment.status, ", ".join((*UPDATABLE, "requires_capture")))
    change_payment(
        world,
        payment,
        status="cancelled",
        amount_capturable=0,
        cancellation_reason=params.get("cancellation_reason"),
    )
    return as_json(payment.as_json())


def _confirm(world: World, payment: Payment, params: Json, method: str | None) -> None:
    """Charge the saved method if there is one, else the card. A decline is an answer, not an error."""
    if method is not None:
        payment.payment_method_id = method
        customer = world.customers[payment.customer_id or ""]
        if customer.off_session_outcome == "requires_payment_method":
            # The insert is done, the attempt never made: it stays in this status, without a webhook.
            raise HyperswitchError(400, "IR_39", "No eligible connector was found for the current payment method")
        error = (customer.error_code, customer.error_message)
        details = customer.error_details
        apply_attempt(world, payment, customer.off_session_outcome, error=error, error_details=details)
        return
    card = (params.get("payment_method_data") or {}).get("card") or {}
    is_declined = isinstance(card, dict) and card.get("card_number") == DECLINED_CARD
    apply_attempt(world, payment, "failed" if is_declined else world.settings.payment_outcome)


def _new_payment(params: Json, payment_id: str, base_url: str) -> Payment:
    at = now()
    link = f"{base_url}/payment_link/{MERCHANT_ID}/{payment_id}?locale=en"
    return Payment(
        payment_id=payment_id,
        amount=params["amount"],
        currency=params["currency"],
        params=params,
        client_secret=new_id(f"{payment_id}_secret_"),
        created_at=at,
        expires_at=at + timedelta(seconds=params.get("session_expiry", SESSION_SECONDS)),
        customer_id=customer_of(params),
        booked_currency=params["currency"],
        link=(
            {"link": link, "secure_link": None, "payment_link_id": new_id("plink_")}
            if params.get("payment_link")
            else None
        ),
    )


def _with_refunds_and_disputes(payment: Payment) -> Json:
    refunds = [refund.as_json() for refund in payment.refunds]
    disputes = [dispute.summary() for dispute in payment.disputes]
    return {**payment.as_json(), "refunds": refunds or None, "disputes": disputes or None}


def _duplicate_payment(payment_id: str) -> HyperswitchError:
    return HyperswitchError(
        400,
        "HE_01",
        "The payment with the specified payment_id already exists in our records",
        reason=f'PaymentId("{payment_id}") already exists',
    )
