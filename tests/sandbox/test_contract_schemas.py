"""The sandbox's answers against the providers' own schemas, where those are available."""

import json
import re

import pytest

from sandbox import routes
from tests.sandbox.actors import ask_refund, ask_reversal, ask_transfer, paid_payment
from tests.sandbox.schemas import FOLDER, HYPERSWITCH, STRIPE, assert_fits

LONG_ID = "pay_01234567890123456789012345"  # the schema requires 30 characters, the server does not

# Real calls of Stripe's that the excerpt of its schema leaves out (docs.stripe.com/api/accounts/retrieve).
LEFT_OUT = {("GET", "/v1/account")}

pytestmark = pytest.mark.skipif(not (FOLDER / STRIPE).exists(), reason="the contracts are not available")


def test_a_payment_fits_in_every_status(sandbox):
    succeeded_payment = paid_payment(
        sandbox,
        LONG_ID,
        customer={"id": "cus_1", "email": "buyer@example.org"},
        setup_future_usage="off_session",
        order_details=[{"product_name": "font", "quantity": 1, "amount": 50_00}],
    )
    sandbox.control("disputes", payment_id=LONG_ID, amount=10_00)
    ask_refund(sandbox, payment_id=LONG_ID)
    disputed_payment = sandbox.hyperswitch("GET", f"/payments/{LONG_ID}").json()
    failed_payment = sandbox.control(f"payments/{LONG_ID}", status="failed")

    for payment in (succeeded_payment, disputed_payment, failed_payment):
        assert_fits(payment, HYPERSWITCH, "PaymentsResponse")
    assert disputed_payment["refunds"]
    assert disputed_payment["disputes"]


def test_refunds_and_disputes_fit(sandbox):
    paid_payment(sandbox)
    dispute = sandbox.control("disputes", payment_id="pay_1", amount=10_00)

    assert_fits(ask_refund(sandbox).json(), HYPERSWITCH, "RefundResponse")
    assert_fits(dispute, HYPERSWITCH, "DisputeResponse")


def test_stripe_objects_fit(sandbox):
    account = sandbox.create_account()
    transfer = ask_transfer(sandbox, account).json()
    acting = {"Stripe-Account": account}
    payout = sandbox.stripe("POST", "/v1/payouts", data={"amount": 1, "currency": "eur"}, headers=acting)

    assert_fits(transfer, STRIPE, "transfer")
    assert_fits(ask_reversal(sandbox, transfer["id"], amount=1).json(), STRIPE, "transfer_reversal")
    assert_fits(payout.json(), STRIPE, "payout")
    assert_fits(sandbox.stripe("GET", f"/v1/accounts/{account}").json(), STRIPE, "account")
    assert_fits(sandbox.stripe("GET", "/v1/balance").json(), STRIPE, "balance")
    assert_fits(sandbox.stripe("GET", "/v1/balance", headers=acting).json(), STRIPE, "balance")
    capability = sandbox.stripe("GET", f"/v1/accounts/{account}/capabilities/transfers").json()
    assert_fits(capability, STRIPE, "capability")


def test_every_route_of_stripe_is_a_real_one():
    real = json.loads((FOLDER / STRIPE).read_text())["paths"]
    shapes = {(method.upper(), shape(path)) for path, calls in real.items() for method in calls}

    ours = {(route.method, shape(route.template)) for route in routes.ROUTES if route.door is routes.STRIPE}

    assert ours <= shapes | LEFT_OUT


def shape(path):
    return re.sub(r"{\w+}", "{}", path)
