from urllib.parse import parse_qs, urlsplit

import pytest

from tests.sandbox.actors import create_payment, paid_payment


def page_of(sandbox, payment_id="pay_1"):
    return sandbox.session.get(f"{sandbox.url}/payment_link/merchant_sandbox/{payment_id}")


def status_of(sandbox):
    return sandbox.hyperswitch("GET", "/payments/pay_1").json()["status"]


def test_the_page_shows_the_order_and_that_no_money_moves(sandbox):
    create_payment(sandbox, description="A <b>font</b>", payment_link_config={"seller_name": "Atelier"})

    page = page_of(sandbox)

    assert "No money moves" in page.text
    assert "50.00" in page.text
    assert "A &lt;b&gt;font&lt;/b&gt;" in page.text
    assert "Atelier" in page.text
    assert "<script" not in page.text
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'sha256-")


@pytest.mark.parametrize(
    ("action", "status"),
    [("pay", "succeeded"), ("decline", "failed"), ("abandon", "requires_payment_method")],
)
def test_each_button_leads_back_to_the_shop_with_the_status(sandbox, action, status):
    payment = create_payment(sandbox, return_url="https://shop.example/back?order=7")

    answer = sandbox.pay("pay_1", action)

    query = parse_qs(urlsplit(answer.headers["Location"]).query)
    assert answer.status_code == 303
    assert query["order"] == ["7"]
    assert query["status"] == [status]
    assert query["payment_id"] == ["pay_1"]
    assert query["payment_intent_client_secret"] == [payment["client_secret"]]
    assert status_of(sandbox) == status


@pytest.mark.parametrize("outcome", ["processing", "partially_captured", "failed"])
def test_paying_ends_with_the_status_in_the_settings(sandbox, outcome):
    sandbox.settings(payment_outcome=outcome)

    assert paid_payment(sandbox)["status"] == outcome


def test_a_declined_payment_can_be_tried_again(sandbox):
    create_payment(sandbox)
    sandbox.pay("pay_1", "decline")

    assert "declined" in page_of(sandbox).text
    sandbox.pay("pay_1")
    assert status_of(sandbox) == "succeeded"


def test_an_expired_page_takes_no_money_and_sends_no_webhook(sandbox):
    create_payment(sandbox)
    sandbox.control("payments/pay_1", expire=True)

    answer = sandbox.pay("pay_1")

    assert answer.status_code == 410
    assert "expired" in answer.text
    assert status_of(sandbox) == "requires_payment_method"
    assert sandbox.webhooks() == []


def test_paying_twice_moves_the_money_once(sandbox):
    paid_payment(sandbox)

    answer = sandbox.pay("pay_1")

    assert answer.status_code == 409
    assert "has been made" in answer.text
    assert sandbox.truth()["totals"]["payment"] == {"EUR": 50_00}


def test_a_cancelled_payment_cannot_be_paid(sandbox):
    create_payment(sandbox)
    sandbox.hyperswitch("POST", "/payments/pay_1/cancel", json={})

    assert sandbox.pay("pay_1").status_code == 409
    assert "cancelled" in page_of(sandbox).text


def test_an_unknown_payment_has_no_page(sandbox):
    assert page_of(sandbox, "pay_none").status_code == 404
