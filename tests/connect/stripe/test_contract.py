"""Our requests against Stripe's own schemas, where those are at hand."""

import json

import jsonschema
import pytest

from connect.stripe import calls as stripe_calls
from connect.stripe import client as stripe_api
from connect.stripe.regions import FULL, RECIPIENT
from tests.sandbox.schemas import FOLDER, STRIPE, with_nulls
from veza.core.ids import new_id

pytestmark = pytest.mark.skipif(not (FOLDER / STRIPE).exists(), reason="the contracts are not at hand")


class Recorder:
    """Stands where Stripe's client stands and keeps the parameters of every call; it answers nothing."""

    def __init__(self):
        self.params = []

    def __getattr__(self, _name):
        return self

    def create(self, *arguments):
        self.params.append(next(one for one in arguments if isinstance(one, dict)))
        raise KeyError("an answer that cannot be read")


@pytest.fixture
def params(monkeypatch, db, settings):
    recorder = Recorder()
    settings.STRIPE_SECRET_KEY = "sk_test_sandbox"
    monkeypatch.setattr(stripe_calls, "stripe_client", lambda: recorder)
    return recorder.params


def assert_is_known(params, path):
    document = with_nulls(json.loads((FOLDER / STRIPE).read_text()))
    form = document["paths"][path]["post"]["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"]
    jsonschema.Draft202012Validator(form | {"components": document["components"]}).validate(params)


def test_the_parameters_of_a_transfer_fit_stripes_schema(params):
    stripe_api.create_transfer(
        transfer_id=new_id(),
        order_id=new_id(),
        amount_minor=9_00,
        currency="EUR",
        destination="acct_1",
        idempotency_key="key",
    )

    assert_is_known(params[0], "/v1/transfers")
    assert params[0]["amount"] == 9_00


def test_a_reversal_always_names_its_amount(params):
    stripe_api.create_reversal(
        stripe_transfer_id="tr_1",
        amount_minor=9_00,
        currency="EUR",
        reversal_id=new_id(),
        order_id=new_id(),
        idempotency_key="key",
    )

    assert_is_known(params[0], "/v1/transfers/{id}/reversals")
    assert params[0]["amount"] == 9_00


def open_account(agreement):
    stripe_api.create_account(
        account_id=new_id(),
        email="ana@example.com",
        country="FR",
        service_agreement=agreement,
        capabilities=["transfers"],
        idempotency_key="key",
    )


@pytest.mark.parametrize("agreement", [FULL, RECIPIENT])
def test_the_parameters_of_an_account_fit_stripes_schema(params, agreement):
    open_account(agreement)

    assert_is_known(params[0], "/v1/accounts")


def test_stripe_pays_an_account_out_on_request_only(params):
    open_account(FULL)

    assert params[0]["settings"]["payouts"]["schedule"]["interval"] == "manual"
