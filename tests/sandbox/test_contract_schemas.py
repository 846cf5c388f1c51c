"""Our answers against the providers' own schemas, where those are at hand."""

import copy
import json
import os
import re
from pathlib import Path

import jsonschema
import pytest

from sandbox import routes
from tests.sandbox.actors import ask_refund, ask_reversal, ask_transfer, paid_payment
from tests.sandbox.process import ROOT

FOLDER = Path(os.environ.get("VEZA_CONTRACTS_DIR", ROOT.parent / "shared" / "contracts"))
HYPERSWITCH, STRIPE = "hyperswitch-openapi-v1.json", "stripe-openapi-subset.json"
LONG_ID = "pay_01234567890123456789012345"  # the schema insists on 30 characters, the server does not

pytestmark = pytest.mark.skipif(not (FOLDER / STRIPE).exists(), reason="the contracts are not at hand")


def with_nulls(schema):
    """OpenAPI 3.0's `nullable` in the words of JSON Schema."""
    if isinstance(schema, list):
        return [with_nulls(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {name: with_nulls(part) for name, part in schema.items() if name != "nullable"}
    return {"anyOf": [plain, {"type": "null"}]} if schema.get("nullable") is True else plain


def validator_of(file, name):
    """A validator of one of a provider's schemas."""
    document = with_nulls(json.loads((FOLDER / file).read_text()))
    schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    return jsonschema.Draft202012Validator(schema), document["components"]["schemas"][name]["properties"]


def assert_fits(answer, file, name):
    """Fits, and shows nothing that the schema does not know."""
    document = with_nulls(json.loads((FOLDER / file).read_text()))
    if name == "PaymentsResponse":
        _mend(document["components"]["schemas"][name]["properties"])
    schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    jsonschema.Draft202012Validator(schema).validate(answer)
    known = document["components"]["schemas"][name]["properties"]
    assert set(answer) <= set(known)


def _mend(properties):
    """Two places where the schema contradicts its own words and the recorded answers."""
    properties["payment_method"] = {"anyOf": [copy.deepcopy(properties["payment_method"]), {"type": "null"}]}
    del properties["amount_capturable"]["minimum"]  # "once fully captured this will be 0"


def test_a_payment_fits_in_every_status(sandbox):
    paid = paid_payment(
        sandbox,
        LONG_ID,
        customer={"id": "cus_1", "email": "buyer@example.org"},
        setup_future_usage="off_session",
        order_details=[{"product_name": "font", "quantity": 1, "amount": 50_00}],
    )
    sandbox.control("disputes", payment_id=LONG_ID, amount=10_00)
    ask_refund(sandbox, payment_id=LONG_ID)
    disputed = sandbox.hyperswitch("GET", f"/payments/{LONG_ID}").json()
    failed = sandbox.control(f"payments/{LONG_ID}", status="failed")

    for payment in (paid, disputed, failed):
        assert_fits(payment, HYPERSWITCH, "PaymentsResponse")
    assert disputed["refunds"]
    assert disputed["disputes"]


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

    assert ours <= shapes


def shape(path):
    return re.sub(r"{\w+}", "{}", path)
