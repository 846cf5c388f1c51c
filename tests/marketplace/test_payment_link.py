"""The link in the e-mail about an unpaid order: a button that leads to its payment page, without a log-in."""

import pytest
from django.core.signing import TimestampSigner
from django.test import Client
from django.urls import reverse

from marketplace.messages.unpaid import PAYMENT_LINK
from marketplace.models import Order
from tests.buying import order_of, paid
from tests.factories import OfferFactory
from tests.marketplace.unpaid import declined_order, payments_of, status_of

pytestmark = pytest.mark.django_db


def address_of(order: Order, signer: TimestampSigner = PAYMENT_LINK) -> str:
    return reverse("order-payment", args=[signer.sign(str(order.pk))])


def test_opening_the_link_changes_nothing(sandbox):
    order = declined_order(sandbox)

    page = Client().get(address_of(order))

    assert (page.status_code, status_of(order), len(payments_of(order))) == (200, "failed", 1)
    assert order.shown_id in page.text


def test_the_button_leads_to_the_page_of_another_payment(sandbox):
    order = declined_order(sandbox)

    answer = Client().post(address_of(order))

    assert (answer.status_code, answer["Location"]) == (303, payments_of(order)[-1].payment_url)
    assert (status_of(order), len(payments_of(order))) == ("pending", 2)


def test_the_button_of_a_paid_order_says_that_there_is_nothing_to_pay(sandbox):
    order = paid(order_of(OfferFactory()))

    page = Client().post(address_of(order))

    assert "nothing to pay" in page.text
    assert len(payments_of(order)) == 1


def test_without_an_answer_the_page_says_to_try_again(sandbox):
    order = declined_order(sandbox)
    sandbox.fault("drop", "^/payments$", method="POST", when="before")

    assert "not ready yet" in Client().post(address_of(order)).text


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_link_that_we_did_not_sign_for_this_is_not_found(sandbox, method):
    order = declined_order(sandbox)
    address = address_of(order, TimestampSigner(salt="subscriptions.payment_link"))

    assert getattr(Client(), method)(address).status_code == 404
    assert len(payments_of(order)) == 1
