import pytest
import requests

from tests.sandbox.actors import ask_refund, ask_transfer, create_payment, paid_payment
from tests.sandbox.process import Sandbox

LOST = (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)


def test_a_drop_before_the_effect_leaves_no_trace(sandbox):
    paid_payment(sandbox)
    sandbox.fault("drop", "^/refunds$", method="POST", when="before")

    with pytest.raises(LOST):
        ask_refund(sandbox)

    assert sandbox.hyperswitch("GET", "/refunds/ref_1").status_code == 404


def test_a_drop_after_the_effect_has_done_its_work(sandbox):
    paid_payment(sandbox)
    sandbox.fault("drop", "^/refunds$", method="POST", when="after")

    with pytest.raises(LOST):
        ask_refund(sandbox)

    assert sandbox.hyperswitch("GET", "/refunds/ref_1").status_code == 200


@pytest.mark.parametrize(("when", "totals"), [("before", {}), ("after", {"EUR": 40_00})])
def test_a_500_moves_money_only_when_it_comes_after(sandbox, when, totals):
    account = sandbox.create_account()
    sandbox.fault("status", "^/v1/transfers$", when=when, status=500)

    answer = ask_transfer(sandbox, account, key="t1")

    assert answer.status_code == 500
    assert sandbox.truth()["totals"].get("transfer", {}) == totals
    assert ask_transfer(sandbox, account, key="t1").status_code == 200
    assert sandbox.truth()["totals"]["transfer"] == {"EUR": 40_00}


def test_half_a_body_is_an_incomplete_read(sandbox):
    account = sandbox.create_account()
    sandbox.fault("half_body", "^/v1/transfers$", when="after")

    with pytest.raises((*LOST, ValueError)):
        ask_transfer(sandbox, account).json()

    assert sandbox.truth()["totals"]["transfer"] == {"EUR": 40_00}


def test_unreadable_answers_are_200_json_cut_short_and_502_html(sandbox):
    create_payment(sandbox)
    sandbox.fault("wrong_json", "^/payments/pay_1$")
    sandbox.fault("html", "^/payments/pay_1$")

    cut_json, html = (sandbox.hyperswitch("GET", "/payments/pay_1") for _ in range(2))

    assert cut_json.status_code == 200
    with pytest.raises(ValueError, match="Expecting"):
        cut_json.json()
    assert (html.status_code, html.headers["Content-Type"]) == (502, "text/html")


def test_a_fault_with_zero_times_lasts_until_it_is_removed(sandbox):
    sandbox.fault("status", "^/payments", status=429, headers={"Retry-After": "3"}, times=0)

    answers = [sandbox.hyperswitch("GET", "/payments/pay_1") for _ in range(3)]
    sandbox.clear_faults()

    assert [answer.status_code for answer in answers] == [429] * 3
    assert answers[0].headers["Retry-After"] == "3"
    assert sandbox.hyperswitch("GET", "/payments/pay_1").status_code == 404


def test_a_misspelt_fault_is_refused(sandbox):
    for wrong in ({"fault": "slow"}, {"fault": "drop", "wen": "after"}, {"fault": "drop", "path": "("}):
        response = sandbox.session.post(f"{sandbox.url}/_control/faults", json=wrong)
        assert response.status_code == 400


def test_every_answer_says_that_it_is_a_sandbox(sandbox):
    for path in ("/", "/health", "/payments/pay_1", "/v1/balance", "/_truth", "/nowhere"):
        assert sandbox.session.get(sandbox.url + path).headers["X-Veza-Sandbox"] == "1"


def test_the_truth_counts_calls_and_keeps_no_secrets(sandbox):
    payment = paid_payment(sandbox)
    sandbox.hyperswitch("GET", f"/payments/pay_1?client_secret={payment['client_secret']}")

    assert sandbox.truth()["calls"]["GET /payments/{payment_id}"] == 2
    calls = sandbox.calls()
    assert (calls[0]["method"], calls[0]["id"], calls[0]["status"]) == ("POST", "pay_1", 200)
    assert payment["client_secret"] not in str(calls)


def test_a_reset_forgets_objects_and_settings(sandbox):
    paid_payment(sandbox)
    sandbox.settings(refund_outcome="fail")

    sandbox.reset()

    assert sandbox.truth()["movements"] == []
    assert sandbox.hyperswitch("GET", "/payments/pay_1").status_code == 404
    assert sandbox.settings()["refund_outcome"] == "succeed"


def test_it_ends_cleanly_on_a_signal():
    sandbox = Sandbox()

    assert sandbox.session.get(f"{sandbox.url}/health").text == "health is good"
    assert sandbox.stop() == 0
