"""People in bad faith, with nothing but allowed calls: they end with what they paid for, and block no other."""

from typing import Any

import pytest
from django.utils import timezone

from marketplace.models import License, LicenseOffer, Order, Product, RefundApplication
from marketplace.refund_decisions import grant_refund
from payments.models import Refund
from payments.tasks import close_unpaid, resend
from tests.buying import deliver_payment, deliver_refund, order_of, paid, payment_of, refund_of, support
from tests.factories import OfferFactory, PersonFactory
from tests.marketplace.conftest import client_of
from tests.marketplace.unpaid import declined_order, payments_of
from tests.restricting import by, clerk, closed
from veza.backoffice.proof import prove_payment
from veza.core.models import User

pytestmark = pytest.mark.django_db
MARKET = "/api/v1/marketplace"


def bought(sandbox, *offers: LicenseOffer, buyer: User) -> Order:
    order = paid(order_of(*offers, buyer=buyer))
    sandbox.pay(payment_of(order).provider_key)
    return order


def ask(user: User, order: Order, **body: Any) -> tuple[int, str]:
    """The status of a refund request, and of its refund, or the code of what refuses it."""
    answer = client_of(user).post(f"{MARKET}/orders/{order.pk}/refund", {"reason": "R.", **body}, format="json")
    return answer.status_code, answer.json().get("status") if answer.status_code == 202 else answer.json()["code"]


def settle() -> None:
    """Every refund that is under way succeeds."""
    for refund in Refund.objects.filter(status="pending"):
        deliver_refund(refund)


@pytest.fixture
def over_limit(sandbox, settings, buyer) -> User:
    """A buyer who has given back as many orders as buyers may."""
    settings.SELF_SERVICE_REFUNDS_PER_30_DAYS = 1
    deliver_refund(refund_of(bought(sandbox, OfferFactory(), buyer=buyer)))
    return buyer


def test_an_undecided_request_stops_no_seller_and_is_paid_once(sandbox, over_limit):
    order = bought(sandbox, OfferFactory(), OfferFactory(), buyer=over_limit)
    first, second = order.items.all()
    assert ask(over_limit, order) == (202, "requested")

    assert ask(first.seller, order) == (202, "pending")
    assert ask(over_limit, order) == (400, "refund_already_requested")
    settle()
    application = RefundApplication.objects.get()
    refund = grant_refund(application_id=application.pk, granted_by=support(), cause=by(clerk()))
    settle()

    assert (application.amount_minor, refund.amount_minor) == (24_00, second.total_minor)
    assert prove_payment(payment_of(order)).is_balanced


def test_a_seller_frees_the_work_that_a_rival_holds_with_a_request(sandbox, buyer):
    offer = OfferFactory(license="exclusive", price_minor=450_00)
    deliver_refund(refund_of(bought(sandbox, offer, buyer=buyer)))
    order = bought(sandbox, offer, buyer=buyer)
    assert ask(buyer, order) == (202, "requested")

    assert ask(offer.product.seller, order) == (202, "pending")
    settle()

    assert RefundApplication.objects.get().status == "withdrawn"
    assert order_of(offer, buyer=PersonFactory()).status == "pending"


def test_items_given_back_one_by_one_leave_the_last_refunds_of_the_payment(sandbox, buyer):
    order = bought(sandbox, *OfferFactory.create_batch(12), buyer=buyer)
    items = list(order.items.all())

    answers = [ask(buyer, order, items=[str(item.pk)]) for item in items[:9]]

    assert answers == [(202, "pending")] * 8 + [(400, "refunds_reserved")]
    assert ask(buyer, order) == (202, "pending")
    settle()
    order.refresh_from_db()
    assert (order.status, License.objects.filter(order=order, status="active").count()) == ("refunded", 0)


def test_a_page_of_before_sells_nothing_that_has_left_sale(sandbox, buyer):
    """The first payment was declined; its page is still open in another tab."""
    offer, other = OfferFactory(), OfferFactory()
    order = declined_order(sandbox, offer, other)
    Product.objects.filter(pk=offer.product_id).update(taken_off_sale_at=timezone.now())

    refused = client_of(order.buyer).post(f"{MARKET}/orders/{order.pk}/pay", {}, format="json").json()
    sandbox.pay(payment_of(order).provider_key)
    deliver_payment(payment_of(order))
    resend()
    settle()

    assert (refused["code"], offer.product.title in refused["detail"]) == ("order_not_payable", True)
    assert License.objects.get(order=order).offer == other
    assert [(refund.amount_minor, refund.status) for refund in Refund.objects.all()] == [(12_00, "succeeded")]
    assert prove_payment(payment_of(order)).is_balanced


def test_a_rival_in_two_tabs_holds_one_exclusive_licence_and_pays_once(sandbox, buyer):
    offer = OfferFactory(license="exclusive", price_minor=450_00)
    first, second = order_of(offer, buyer=buyer), order_of(offer, buyer=buyer)
    for order in (first, second):
        sandbox.pay(payment_of(order).provider_key)
        paid(order)
    resend()
    settle()

    assert License.objects.get().order == first
    assert [(refund.payment, refund.amount_minor) for refund in Refund.objects.all()] == [(payment_of(second), 540_00)]


def test_one_line_written_twice_is_no_order(api):
    offer = OfferFactory()
    line = {"product_id": str(offer.product_id), "license": "personal"}

    answer = api.post(f"{MARKET}/orders", {"items": [line, line]}, format="json")

    assert (answer.status_code, Order.objects.exists()) == (400, False)


def test_a_buyer_whose_account_is_closed_is_refunded_what_support_grants(sandbox, over_limit):
    order = bought(sandbox, OfferFactory(), buyer=over_limit)
    assert ask(over_limit, order) == (202, "requested")
    closed(over_limit)

    application = RefundApplication.objects.get()
    grant_refund(application_id=application.pk, granted_by=support(), cause=by(clerk()))
    settle()

    order.refresh_from_db()
    assert (order.status, order.licenses.get().status) == ("refunded", "revoked")


def test_paying_again_stays_within_the_limit_of_open_orders(sandbox, settings, buyer):
    """Otherwise declined orders would be a way to any number of payment pages."""
    settings.OPEN_ORDERS_PER_BUYER = 2
    order = declined_order(sandbox)
    for _ in range(2):
        order_of(OfferFactory(), buyer=order.buyer)

    answer = client_of(order.buyer).post(f"{MARKET}/orders/{order.pk}/pay", {}, format="json")

    assert (answer.status_code, answer.json()["code"]) == (409, "too_many_open_orders")
    assert len(payments_of(order)) == 1


def test_an_order_that_the_buyer_gave_up_brings_no_second_page(sandbox, api, buyer):
    order = order_of(OfferFactory(), buyer=buyer)

    cancelled = api.post(f"{MARKET}/orders/{order.pk}/cancel", {}, format="json").json()["status"]
    again = api.post(f"{MARKET}/orders/{order.pk}/pay", {}, format="json")
    close_unpaid()

    assert (cancelled, again.status_code, again.json()["code"]) == ("cancelled", 409, "order_not_payable")
