"""The way back from a decline: the open page, or another payment at the order's own price."""

from datetime import timedelta

import pytest
from django.utils import timezone

from connect.models import SellerTransfer
from marketplace.models import CartItem, License, LicenseOffer, Order, RefundLine
from marketplace.order_payments import OrderNotPayable
from payments import tasks
from payments.collection.payment_requests import PaymentUnderWay
from payments.models import Payment, Refund
from tests.buying import deliver_dispute, deliver_payment, deliver_refund, order_of, paid, payment_of, refund_of
from tests.factories import OfferFactory, PersonFactory
from tests.marketplace.conftest import client_of
from tests.marketplace.unpaid import (
    decline,
    declined_order,
    end_session,
    expired_order,
    pay_again,
    payments_of,
    status_of,
)
from veza.backoffice.verification import faults_of_ledger
from veza.core.models import ReviewItem

pytestmark = pytest.mark.django_db


def pay(order: Order, **options):
    return client_of(order.buyer).post(f"/api/v1/marketplace/orders/{order.pk}/pay", **options)


def pay_on_page(sandbox, payment: Payment) -> None:
    """The buyer pays on the page, and the webhook arrives."""
    sandbox.pay(payment.provider_key)
    assert deliver_payment(payment).status_code == 200


# The open page


def test_the_open_page_is_answered_with_its_secret(sandbox):
    order = order_of(OfferFactory())

    answer = pay(order)

    assert (answer.status_code, answer.json()["payment_url"]) == (200, payment_of(order).payment_url)
    assert answer.json()["client_secret"].startswith(payment_of(order).provider_key)


def test_without_an_answer_the_page_comes_without_its_secret(sandbox):
    order = order_of(OfferFactory())
    sandbox.fault("drop", "^/payments/", method="GET")

    answer = pay(order)

    assert (answer.status_code, answer.json()["client_secret"]) == (202, None)
    assert answer.json()["payment_url"] == payment_of(order).payment_url


def test_a_page_that_was_never_answered_is_made_now(sandbox):
    sandbox.fault("drop", "^/payments$", method="POST", when="before")
    order = order_of(OfferFactory())

    answer = pay(order)

    assert (answer.status_code, answer.json()["payment_url"]) == (200, payment_of(order).payment_url)


def test_a_page_whose_session_is_over_is_closed_before_another(sandbox):
    order = order_of(OfferFactory())
    end_session(order)

    assert pay(order).status_code == 201
    assert [payment.status for payment in payments_of(order)] == ["cancelled", "pending"]


def test_a_page_that_cannot_be_closed_stays_the_only_one(sandbox):
    order = order_of(OfferFactory())
    end_session(order)
    sandbox.fault("drop", "/cancel$", method="POST", when="before")

    assert (pay(order).json()["code"], len(payments_of(order))) == ("payment_under_way", 1)


# Another payment


def test_a_declined_order_is_paid_with_another_payment(sandbox):
    order = declined_order(sandbox, price_minor=10_00)

    answer = pay(order)
    declined, again = payments_of(order)
    pay_on_page(sandbox, again)

    assert (answer.status_code, answer.json()["status"], answer.json()["payment_url"]) == (
        201,
        "pending",
        again.payment_url,
    )
    assert (declined.status, again.amount_minor, status_of(order)) == ("failed", 12_00, "completed")
    assert License.objects.filter(order=order, status="active").count() == SellerTransfer.objects.count() == 1
    assert not list(faults_of_ledger())


def test_an_expired_order_is_paid_with_another_payment(sandbox):
    order = expired_order()

    pay_again(order)
    pay_on_page(sandbox, payments_of(order)[-1])

    assert (order.status, status_of(order)) == ("expired", "completed")


def test_another_payment_is_of_the_orders_own_price(sandbox):
    offer = OfferFactory(price_minor=10_00)
    order = declined_order(sandbox, offer)
    LicenseOffer.objects.update(price_minor=99_00, tax_basis_points=0)

    pay_again(order)

    assert [payment.amount_minor for payment in payments_of(order)] == [12_00, 12_00]


def test_a_later_payment_has_its_own_id_as_idempotency_key(sandbox):
    order = declined_order(sandbox)

    pay_again(order)

    calls = [call for call in sandbox.calls() if call["path"] == "/payments"]
    assert [call["idempotency_key"] for call in calls] == [str(order.pk), str(payments_of(order)[-1].pk)]


def test_one_key_opens_one_payment(sandbox):
    order = declined_order(sandbox)

    answers = [pay(order, headers={"Idempotency-Key": "one"}) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [201, 201]
    assert (len(payments_of(order)), answers[1].json().get("client_secret")) == (2, None)


def test_an_unanswered_payment_is_continued_under_its_key(sandbox):
    order = declined_order(sandbox)
    sandbox.fault("drop", "^/payments$", method="POST", when="before")

    answers = [pay(order, headers={"Idempotency-Key": "one"}).status_code for _ in range(2)]

    assert answers == [202, 201]
    assert len(payments_of(order)) == 2


def test_an_order_may_fail_and_be_paid_again_more_than_once(sandbox):
    order = declined_order(sandbox)
    for _ in range(2):
        pay_again(order)
        decline(sandbox, order)

    pay_again(order)
    pay_on_page(sandbox, payments_of(order)[-1])

    assert (len(payments_of(order)), status_of(order)) == (4, "completed")


# What cannot be paid


def test_a_paid_order_cannot_be_paid_again(sandbox):
    answer = pay(paid(order_of(OfferFactory())))

    assert (answer.status_code, answer.json()["code"]) == (409, "order_not_payable")


def test_an_order_of_another_buyer_is_not_found(sandbox):
    order = declined_order(sandbox)

    answer = client_of(PersonFactory()).post(f"/api/v1/marketplace/orders/{order.pk}/pay")

    assert (answer.status_code, len(payments_of(order))) == (404, 1)


def test_a_cancelled_order_cannot_be_paid(sandbox):
    order = order_of(OfferFactory())
    client_of(order.buyer).post(f"/api/v1/marketplace/orders/{order.pk}/cancel")

    assert pay(order).json()["code"] == "order_not_payable"


def test_an_order_with_a_work_off_sale_names_it(sandbox):
    kept, withdrawn = OfferFactory.create_batch(2)
    order = declined_order(sandbox, kept, withdrawn)
    LicenseOffer.objects.filter(pk=withdrawn.pk).update(active=False)

    answer = pay(order)

    assert (answer.status_code, answer.json()["code"]) == (409, "order_not_payable")
    assert withdrawn.product.title in answer.json()["detail"]
    assert (status_of(order), len(payments_of(order))) == ("failed", 1)


def test_an_exclusive_sold_to_another_since_cannot_be_paid(sandbox):
    offer = OfferFactory(license="exclusive")
    order = declined_order(sandbox, offer)
    paid(order_of(offer))

    with pytest.raises(OrderNotPayable, match="already sold"):
        pay_again(order)


def test_what_was_bought_with_another_order_since_cannot_be_paid(sandbox):
    offer = OfferFactory()
    order = declined_order(sandbox, offer)
    paid(order_of(offer, buyer=order.buyer))

    with pytest.raises(OrderNotPayable, match="You have the personal licence"):
        pay_again(order)


@pytest.mark.parametrize(("within", "is_payable"), [("30d", False), ("0s", True)])
def test_an_old_price_is_not_kept_for_ever(sandbox, settings, within, is_payable):
    settings.PAY_AGAIN_WITHIN = timedelta(days=30) if within == "30d" else timedelta(0)
    order = declined_order(sandbox)
    Order.objects.update(created_at=timezone.now() - timedelta(days=31))

    assert (pay(order).status_code == 201) is is_payable


def test_a_payment_in_progress_blocks_another(sandbox):
    order = order_of(OfferFactory())
    deliver_payment(payment_of(order), status="processing", amount_received=None)

    with pytest.raises(PaymentUnderWay):
        pay_again(order)


def test_money_in_review_blocks_another_payment(sandbox):
    order = order_of(OfferFactory(price_minor=10_00))
    deliver_payment(payment_of(order), amount_received=11_99)

    with pytest.raises(PaymentUnderWay, match="checked"):
        pay_again(order)


# More than one payment of an order


def test_a_payment_on_the_declined_page_is_found_first(sandbox):
    order = declined_order(sandbox)
    sandbox.pay(payment_of(order).provider_key)

    with pytest.raises(OrderNotPayable):
        pay_again(order)

    assert (status_of(order), len(payments_of(order))) == ("completed", 1)


def test_the_declined_page_is_closed_once_another_is_open(sandbox):
    order = declined_order(sandbox)
    pay_again(order)

    tasks.close_unpaid()

    declined, again = payments_of(order)
    assert (declined.close_due_at, again.status) == (None, "pending")
    assert status_of(order) == "pending"


def both_paid(sandbox) -> Order:
    """An order whose declined page was paid after all, and then the page of the other payment, too."""
    order = declined_order(sandbox, price_minor=10_00)
    pay_again(order)
    for payment in payments_of(order):
        pay_on_page(sandbox, payment)
    order.refresh_from_db()
    return order


def test_the_later_of_two_successes_goes_back_by_itself(sandbox):
    order = both_paid(sandbox)

    first, second = payments_of(order)
    refund = Refund.objects.get()
    assert (refund.payment, refund.amount_minor, refund.source) == (second, 12_00, "late_payment")
    assert (order.status, License.objects.count(), SellerTransfer.objects.count()) == ("completed", 1, 1)
    assert [payment.applied_at is not None for payment in (first, second)] == [True, False]


def test_the_return_of_a_second_payment_leaves_the_order_alone(sandbox):
    order = both_paid(sandbox)

    deliver_refund(Refund.objects.get())

    order.refresh_from_db()
    assert (order.status, License.objects.get().status) == ("completed", "active")
    shown = client_of(order.buyer).get(f"/api/v1/marketplace/orders/{order.pk}").json()
    assert (shown["refund"], shown["hyperswitch_payment_id"]) == ("none", payments_of(order)[0].provider_key)
    assert not list(faults_of_ledger())


def test_a_refund_takes_from_the_payment_that_the_order_has(sandbox):
    order = both_paid(sandbox)

    refund = refund_of(order)

    assert (refund.payment, refund.amount_minor) == (payments_of(order)[0], 12_00)
    assert Refund.objects.filter(status="pending").count() == 2


def test_a_return_under_way_is_no_refund_of_the_order(sandbox):
    order = both_paid(sandbox)

    deliver_dispute(payments_of(order)[0], "opened")

    order.refresh_from_db()
    assert (Refund.objects.get().status, order.status) == ("pending", "completed")


@pytest.mark.parametrize(("place", "status"), [(0, "suspended"), (1, "active")])
def test_only_a_dispute_of_the_payment_that_paid_suspends(sandbox, place, status):
    order = both_paid(sandbox)

    deliver_dispute(payments_of(order)[place], "opened")

    assert License.objects.get(order=order).status == status


def test_a_dashboard_refund_of_the_second_payment_takes_no_sellers_share(sandbox):
    order = both_paid(sandbox)
    refund = Refund(payment=payments_of(order)[1], amount_minor=5_00, currency="EUR")

    deliver_refund(refund)

    assert Refund.objects.get(source="external").allocation == {"unapplied": 5_00}
    assert not RefundLine.objects.exists()
    order.refresh_from_db()
    assert order.status == "completed"


def test_the_order_is_refunded_from_a_later_payment_that_paid_it(sandbox):
    """The first brought a wrong amount, which went back, before the second paid the order."""
    order = order_of(OfferFactory(price_minor=10_00))
    first = payment_of(order)
    Payment.objects.filter(pk=first.pk).update(status="cancelled", received_minor=1, refunded_minor=1)
    Order.objects.update(status="expired")

    pay_again(order)
    pay_on_page(sandbox, payments_of(order)[-1])
    order.refresh_from_db()

    assert refund_of(order).payment == payments_of(order)[-1]


def test_an_old_payment_that_fails_again_leaves_the_new_one_alone(sandbox):
    order = declined_order(sandbox)
    declined = payment_of(order)
    pay_again(order)

    deliver_payment(declined, status="processing", amount_received=None)
    deliver_payment(declined, status="failed", amount_received=None)

    assert status_of(order) == "pending"


def test_the_other_page_is_closed_when_the_order_is_paid(sandbox):
    order = declined_order(sandbox)
    pay_again(order)
    declined, again = payments_of(order)

    deliver_payment(declined)
    tasks.close_unpaid()

    again.refresh_from_db()
    assert (status_of(order), again.status) == ("completed", "cancelled")
    assert sandbox.hyperswitch("GET", f"/payments/{again.provider_key}").json()["status"] == "cancelled"


def test_the_books_of_two_successes_need_no_review(sandbox):
    both_paid(sandbox)

    assert not ReviewItem.objects.filter(closed_at=None).exists()


# The cart


def from_cart(*offers: LicenseOffer) -> Order:
    """A pending order of offers that were in their buyer's cart."""
    buyer = PersonFactory()
    for offer in offers:
        add_to_cart(buyer, offer)
    return order_of(*offers, buyer=buyer)


def add_to_cart(buyer, offer: LicenseOffer) -> None:
    line = {"product_id": str(offer.product_id), "license": offer.license}
    assert client_of(buyer).post("/api/v1/marketplace/cart", line, format="json").status_code == 201


def cart_of(order: Order) -> list:
    return list(CartItem.objects.filter(owner=order.buyer).order_by("pk").values_list("offer", "price_minor"))


def test_lines_return_to_the_cart_on_the_orders_terms(sandbox):
    offer = OfferFactory(price_minor=10_00)
    order = from_cart(offer)
    LicenseOffer.objects.update(price_minor=99_00)
    assert cart_of(order) == []

    decline(sandbox, order)

    assert cart_of(order) == [(offer.pk, 10_00)]


def test_what_did_not_come_from_a_cart_does_not_go_there(sandbox):
    assert cart_of(declined_order(sandbox)) == []


def test_what_is_in_the_cart_again_stays_as_it_is(sandbox):
    offer = OfferFactory(price_minor=10_00)
    order = from_cart(offer)
    LicenseOffer.objects.update(price_minor=99_00)
    add_to_cart(order.buyer, offer)

    decline(sandbox, order)

    assert cart_of(order) == [(offer.pk, 99_00)]


def test_paying_again_takes_the_lines_out_of_the_cart(sandbox):
    order = from_cart(OfferFactory())
    decline(sandbox, order)

    pay_again(order)

    assert cart_of(order) == []


def test_a_success_after_a_decline_takes_the_lines_out(sandbox):
    order = from_cart(OfferFactory())
    decline(sandbox, order)

    pay_on_page(sandbox, payment_of(order))

    assert (status_of(order), cart_of(order)) == ("completed", [])


def test_a_cart_has_its_size_whatever_returns(sandbox, monkeypatch):
    order = from_cart(*OfferFactory.create_batch(3))
    monkeypatch.setattr("marketplace.cart_lines.MOST_ITEMS", 2)

    decline(sandbox, order)

    assert len(cart_of(order)) == 2


# Why it failed


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("insufficient_funds", "There is not enough money on the account."),
        ("54", "The card has expired."),
        ("stolen_card", "The payment was declined. Try another way to pay."),
        ("", "The payment was declined. Try another way to pay."),
    ],
)
def test_a_failed_order_says_why_in_words(sandbox, code, sentence):
    order = decline(sandbox, order_of(OfferFactory()), error_code=code)

    shown = client_of(order.buyer).get(f"/api/v1/marketplace/orders/{order.pk}").json()

    assert (shown["status"], shown["failure_reason"]) == ("failed", sentence)


def test_an_order_that_is_not_over_has_no_reason(sandbox):
    order = declined_order(sandbox)

    assert pay(order).json()["failure_reason"] is None
