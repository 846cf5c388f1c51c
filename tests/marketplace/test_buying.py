"""From an order to its licences: a payment's webhook is applied once, however often it arrives."""

import pytest

from connect.models import SellerTransfer
from marketplace.models import License, Order
from marketplace.offers import OfferNotFound, OrderLine, OrderNotPossible
from marketplace.orders import place_order
from payments.models import Payment, Posting, WebhookDelivery
from tests.buying import (
    BY_BUYER,
    ago,
    deliver_payment,
    order_of,
    paid,
    payment_of,
    two_sellers_order,
)
from tests.factories import OfferFactory, PersonFactory
from veza.core.ids import new_id
from veza.core.models import ProviderCall, ReviewItem

pytestmark = pytest.mark.django_db


def test_an_order_gets_a_payment_page_for_its_total(sandbox):
    order = two_sellers_order()

    payment = payment_of(order)
    assert (payment.status, payment.amount_minor) == ("pending", 18_00)
    assert payment.payment_url.startswith(sandbox.url)
    assert payment.hyperswitch_payment_id == payment.provider_key


def test_the_payments_idempotency_key_is_the_orders_id(sandbox):
    order = two_sellers_order()

    calls = [call for call in sandbox.calls() if call["path"] == "/payments"]
    assert [call["idempotency_key"] for call in calls] == [str(order.pk)]


def test_tax_comes_on_top_and_the_fee_out_of_the_price(sandbox):
    order = order_of(OfferFactory(price_minor=9_99, tax_basis_points=1_950))

    item = order.items.get()
    assert (item.net_minor, item.tax_minor, item.fee_minor, item.seller_minor) == (9_99, 1_95, 1_00, 8_99)
    assert order.total_minor == 11_94


def test_a_price_that_changes_later_does_not_change_the_order(sandbox):
    offer = OfferFactory(price_minor=10_00)
    order = order_of(offer)

    offer.price_minor = 99_00
    offer.save(update_fields=["price_minor"])

    assert order.items.get().net_minor == 10_00


def test_a_payment_webhook_delivered_three_times_is_applied_once(sandbox):
    order = two_sellers_order()

    answers = [deliver_payment(payment_of(order), event_id="evt_same").status_code for _ in range(3)]

    order.refresh_from_db()
    assert answers == [200, 200, 200]
    assert order.status == "completed"
    assert License.objects.filter(order=order, status="active").count() == 2
    assert SellerTransfer.objects.filter(order=order).count() == 2


def test_three_different_events_of_one_payment_complete_it_once(sandbox):
    order = two_sellers_order()

    for _ in range(3):
        assert deliver_payment(payment_of(order)).status_code == 200

    assert License.objects.count() == SellerTransfer.objects.count() == 2
    results = WebhookDelivery.objects.order_by("received_at").values_list("processing_result", flat=True)
    assert list(results) == ["ok", "skipped: stale", "skipped: stale"]


def test_a_completed_order_books_every_cent_to_its_owner(sandbox):
    order = paid(two_sellers_order())

    amounts = {posting.leg: posting.amount_minor for posting in Posting.objects.filter(correlation_id=order.pk)}
    sellers = {f"seller:{item.seller_id}": item.seller_minor for item in order.items.all()}
    assert amounts == {"in": 18_00, "platform_fee": 1_50, "tax": 3_00, **sellers}


def test_licenses_carry_the_rights_as_they_were_sold(sandbox):
    offer = OfferFactory(rights={"copies": 7})
    order = order_of(offer)
    offer.rights = {"copies": 1}
    offer.save(update_fields=["rights"])

    paid(order)

    assert License.objects.get(order=order).rights == {"copies": 7}


def test_an_older_object_after_a_newer_one_changes_nothing(sandbox):
    order = paid(two_sellers_order())

    deliver_payment(payment_of(order), status="failed", updated=ago(hours=1))

    order.refresh_from_db()
    assert order.status == "completed"
    assert payment_of(order).status == "succeeded"


def test_a_failed_payment_fails_the_order(sandbox):
    order = two_sellers_order()

    deliver_payment(payment_of(order), status="failed", error_code="card_declined", amount_received=None)

    order.refresh_from_db()
    assert order.status == "failed"
    assert payment_of(order).error_code == "card_declined"


def test_a_payment_after_a_failure_completes_the_order(sandbox):
    order = two_sellers_order()
    deliver_payment(payment_of(order), status="failed", amount_received=None)

    assert paid(order).status == "completed"


@pytest.mark.parametrize("payload", [{"amount_received": 17_99}, {"amount_received": 18_01}, {"currency": "USD"}])
def test_the_wrong_amount_is_booked_and_completes_no_order(sandbox, payload):
    order = two_sellers_order()

    deliver_payment(payment_of(order), **payload)

    order.refresh_from_db()
    assert order.status == "pending"
    assert payment_of(order).status == "mismatched"
    assert Posting.objects.get().credit_id == "unapplied"
    assert ReviewItem.objects.get().kind == "payment_mismatch"


def test_a_success_without_an_amount_is_read_and_not_assumed(sandbox):
    order = two_sellers_order()

    answer = deliver_payment(payment_of(order), amount_received=None)

    assert answer.json() == {"result": "skipped: waiting"}
    assert payment_of(order).status == "pending"


def test_a_webhook_faster_than_our_own_commit_finds_its_payment(sandbox):
    order, _ = place_order(
        order_id=new_id(),
        buyer=PersonFactory(),
        lines=[OrderLine((offer := OfferFactory()).product_id, offer.license)],
        is_sent_now=True,
        cause=BY_BUYER,
    )

    deliver_payment(payment_of(order))

    order.refresh_from_db()
    assert order.status == "completed"


def test_an_order_placed_twice_under_one_id_is_one_order(sandbox):
    offer, buyer, order_id = OfferFactory(), PersonFactory(), new_id()
    lines = [OrderLine(offer.product_id, offer.license)]

    for _ in range(2):
        place_order(order_id=order_id, buyer=buyer, lines=lines, is_sent_now=True, cause=BY_BUYER)

    assert Order.objects.count() == Payment.objects.count() == 1


def test_a_free_order_is_completed_immediately_without_the_provider(sandbox):
    order = order_of(OfferFactory(price_minor=0))

    assert order.status == "completed"
    assert License.objects.filter(order=order).count() == 1
    assert not ProviderCall.objects.exists()


def test_an_inactive_offer_cannot_be_ordered(sandbox):
    offer = OfferFactory(active=False)

    with pytest.raises(OfferNotFound):
        order_of(offer)

    assert not Order.objects.exists()


def test_a_seller_cannot_buy_their_own_work(sandbox):
    offer = OfferFactory()

    with pytest.raises(OrderNotPossible, match="your own work"):
        order_of(offer, buyer=offer.product.seller)


def test_one_order_has_one_currency(sandbox):
    with pytest.raises(OrderNotPossible, match="one currency"):
        order_of(OfferFactory(currency="EUR"), OfferFactory(currency="USD"))
