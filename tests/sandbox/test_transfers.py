import threading

import pytest
import stripe

from tests.sandbox.actors import ask_reversal, ask_transfer, error_of
from tests.sandbox.process import STRIPE_KEY


def test_a_transfer_moves_money_between_two_balances(sandbox):
    account = sandbox.create_account()

    transfer = ask_transfer(sandbox, account, **{"metadata[order]": "7"}).json()

    balances = sandbox.truth()["balances"]
    assert transfer["metadata"] == {"order": "7"}
    assert balances["accounts"][account] == {"eur": 40_00}
    assert balances["platform"] == {"eur": 100_000_000 - 40_00}


def test_the_same_key_gives_the_same_transfer_once(sandbox):
    account = sandbox.create_account()

    first, second = (ask_transfer(sandbox, account, key="t1") for _ in range(2))

    assert first.content == second.content
    assert "Idempotent-Replayed" not in first.headers
    assert second.headers["Idempotent-Replayed"] == "true"
    assert second.headers["Original-Request"] == first.headers["Request-Id"]
    assert sandbox.truth()["totals"]["transfer"] == {"EUR": 40_00}


def test_the_same_key_with_other_parameters_is_an_idempotency_error(sandbox):
    account = sandbox.create_account()
    ask_transfer(sandbox, account, key="t1")

    other = ask_transfer(sandbox, account, key="t1", amount=1)

    assert error_of(other) == (400, None)
    assert other.json()["error"]["type"] == "idempotency_error"


def test_a_key_in_progress_is_409_and_then_replays(sandbox):
    account = sandbox.create_account()
    sandbox.fault("latency", "^/v1/transfers$", when="after", seconds=0.5)
    slow = threading.Thread(target=ask_transfer, args=(sandbox, account), kwargs={"key": "t1"})
    slow.start()
    sandbox.wait_for(lambda: sandbox.truth()["calls"].get("POST /v1/transfers"))

    assert error_of(ask_transfer(sandbox, account, key="t1")) == (409, "idempotency_key_in_use")
    slow.join()
    assert ask_transfer(sandbox, account, key="t1").headers["Idempotent-Replayed"] == "true"


def test_an_executed_refusal_is_replayed_after_its_cause_has_ended(sandbox):
    account = sandbox.create_account()
    sandbox.control("balances", account=None, amount_minor=0)
    first = ask_transfer(sandbox, account, key="t1")
    sandbox.control("balances", account=None, amount_minor=100_00)

    again = ask_transfer(sandbox, account, key="t1")

    assert error_of(first) == error_of(again) == (400, "balance_insufficient")
    assert again.headers["Idempotent-Replayed"] == "true"
    assert ask_transfer(sandbox, account, key="t2").status_code == 200


def test_a_refusal_of_parameters_leaves_the_key_free(sandbox):
    account = sandbox.create_account()

    refusal = ask_transfer(sandbox, account, key="t1", amount=0)

    assert error_of(refusal) == (400, "parameter_invalid_integer")
    assert ask_transfer(sandbox, account, key="t1").status_code == 200


def test_an_expired_key_pays_a_second_time(sandbox):
    account = sandbox.create_account()
    ask_transfer(sandbox, account, key="t1")
    sandbox.control("forget_idempotency_keys")
    ask_transfer(sandbox, account, key="t1")

    assert sandbox.truth()["totals"]["transfer"] == {"EUR": 80_00}


@pytest.mark.parametrize(
    ("wrong", "code", "param"),
    [
        ({"colour": "red"}, "parameter_unknown", "colour"),
        ({"destination": "acct_none"}, "resource_missing", "destination"),
        ({"amount": "10.5"}, "parameter_invalid_integer", "amount"),
        ({"currency": ""}, "parameter_missing", "currency"),
    ],
)
def test_a_transfer_with_a_wrong_parameter_is_400(sandbox, wrong, code, param):
    response = ask_transfer(sandbox, sandbox.create_account(), **wrong)

    assert error_of(response) == (400, code)
    assert response.json()["error"]["param"] == param


def test_an_account_without_the_capability_cannot_be_paid(sandbox):
    response = ask_transfer(sandbox, sandbox.create_account(active=False))

    assert response.status_code == 400
    assert "at least one of the following capabilities enabled: transfers" in response.text


def test_a_partial_reversal_leaves_the_transfer_unreversed(sandbox):
    transfer = ask_transfer(sandbox, sandbox.create_account()).json()

    reversal = ask_reversal(sandbox, transfer["id"], amount=15_00).json()

    after = sandbox.stripe("GET", f"/v1/transfers/{transfer['id']}").json()
    assert (after["amount_reversed"], after["reversed"]) == (15_00, False)
    assert after["reversals"]["data"] == [reversal]


def test_without_an_amount_all_the_rest_is_reversed(sandbox):
    transfer = ask_transfer(sandbox, sandbox.create_account()).json()
    ask_reversal(sandbox, transfer["id"], amount=15_00)

    assert ask_reversal(sandbox, transfer["id"]).json()["amount"] == 25_00


def test_reversing_what_is_reversed_is_refused_without_a_code(sandbox):
    transfer = ask_transfer(sandbox, sandbox.create_account()).json()
    ask_reversal(sandbox, transfer["id"])

    again = ask_reversal(sandbox, transfer["id"], amount=40_00)

    assert error_of(again) == (400, None)
    assert again.json()["error"]["message"] == f"The transfer {transfer['id']} is already fully reversed."


def test_an_unknown_transfer_and_too_much_are_refused(sandbox):
    transfer = ask_transfer(sandbox, sandbox.create_account()).json()

    assert error_of(ask_reversal(sandbox, "tr_none", amount=1)) == (404, "resource_missing")
    assert error_of(ask_reversal(sandbox, transfer["id"], amount=40_01)) == (400, None)


def test_an_account_without_balance_after_a_payout_cannot_be_reversed(sandbox):
    account = sandbox.create_account()
    transfer = ask_transfer(sandbox, account).json()
    acting = {"Stripe-Account": account}
    payout = sandbox.stripe("POST", "/v1/payouts", data={"amount": 30_00, "currency": "eur"}, headers=acting).json()

    refusal = ask_reversal(sandbox, transfer["id"], amount=20_00)

    assert error_of(refusal) == (400, "balance_insufficient")
    sandbox.control(f"payouts/{payout['id']}", status="failed")
    assert ask_reversal(sandbox, transfer["id"], amount=20_00).status_code == 200


def test_a_reversal_at_the_dashboard_shows_in_every_answer(sandbox):
    transfer = ask_transfer(sandbox, sandbox.create_account()).json()

    sandbox.control(f"transfers/{transfer['id']}/reverse", amount=10_00)

    assert sandbox.stripe("GET", f"/v1/transfers/{transfer['id']}").json()["amount_reversed"] == 10_00
    assert sandbox.truth()["totals"]["reversal"] == {"EUR": 10_00}


def test_stripes_own_client_pages_through_a_filtered_list(sandbox):
    account, other = sandbox.create_account(), sandbox.create_account()
    for number in range(7):
        ask_transfer(sandbox, account, amount=100 + number, transfer_group="order_1")
    ask_transfer(sandbox, other)
    client = stripe.StripeClient(STRIPE_KEY, base_addresses={"api": sandbox.url})

    page = client.v1.transfers.list({"destination": account, "transfer_group": "order_1", "limit": 3})

    assert [transfer.amount for transfer in page.auto_paging_iter()] == [106, 105, 104, 103, 102, 101, 100]


def test_a_seller_becomes_payable_by_following_the_link(sandbox):
    account = sandbox.create_account(active=False)
    params = {
        "account": account,
        "type": "account_onboarding",
        "return_url": "https://shop.example/done",
        "refresh_url": "https://shop.example/again",
    }
    link = sandbox.stripe("POST", "/v1/account_links", data=params).json()

    first = sandbox.session.post(link["url"], allow_redirects=False)
    again = sandbox.session.post(link["url"], allow_redirects=False)

    assert (first.headers["Location"], again.headers["Location"]) == (
        params["return_url"],
        params["refresh_url"],
    )
    assert sandbox.stripe("GET", f"/v1/accounts/{account}").json()["capabilities"]["transfers"] == "active"


def test_a_revoked_account_is_403(sandbox):
    account = sandbox.create_account()
    sandbox.control(f"accounts/{account}", revoked=True)

    assert error_of(sandbox.stripe("GET", f"/v1/accounts/{account}")) == (403, "account_invalid")
    assert error_of(sandbox.stripe("GET", "/v1/balance", headers={"Stripe-Account": account}))[0] == 403


def test_a_wrong_secret_key_is_401_and_not_repeated_in_the_answer(sandbox):
    response = sandbox.stripe("GET", "/v1/balance", headers={"Authorization": "Bearer sk_test_wrongsecret"})

    assert response.status_code == 401
    assert "wrongsecret" not in response.text


def test_an_unknown_address_does_not_use_up_the_key(sandbox):
    account = sandbox.create_account()

    assert sandbox.stripe("POST", "/v1/nowhere", key="t1").status_code == 404
    assert sandbox.stripe("POST", "/v1/nowhere", key="t1").status_code == 404
    assert ask_transfer(sandbox, account, key="t1").status_code == 200
