"""What buyers and sellers of an order are told, once for each fact, and only while it is true."""

import pytest
from django.db import transaction
from django.utils import timezone

from marketplace.messages.orders import write_unpaid_email
from marketplace.models import Order
from marketplace.order_payments import cancel_order
from payments.tasks import retry_deliveries
from tests.buying import (
    BY_BUYER,
    answer_dispute,
    deliver_dispute,
    deliver_payment,
    deliver_refund,
    order_of,
    paid,
    payment_of,
    refund_of,
    two_sellers_order,
)
from tests.emails import composed, mark_sent, texts_to, written_to
from tests.factories import OfferFactory
from tests.marketplace.dashboard import refund_at_dashboard
from tests.marketplace.unpaid import decline, declined_order, pay_again
from tests.payments.builders import make_deliveries_due
from veza.core.email.content import Outdated
from veza.core.models import Email, User

pytestmark = pytest.mark.django_db


def bought(sandbox, *offers) -> Order:
    """An order that was paid on its page, so that Hyperswitch has something to refund."""
    order = order_of(*(offers or [OfferFactory()]))
    sandbox.pay(payment_of(order).provider_key)
    return paid(order)


def messages_to(user: User) -> list[str]:
    return [email.message for email in written_to(user)]


def test_a_buyer_gets_a_receipt_and_each_seller_hears_of_their_sale(sandbox):
    order = paid(two_sellers_order())

    (receipt,) = texts_to(order.buyer, "order_receipt")
    shares = {texts_to(item.seller, "sale")[0].split("Your share: ")[1].split()[0] for item in order.items.all()}
    assert "Total paid: €18.00" in receipt
    assert all(item.title in receipt for item in order.items.all())
    assert shares == {"€9.00", "€4.50"}


def test_a_webhook_that_arrives_again_writes_nothing_more(sandbox):
    order = order_of(OfferFactory())
    for event_id in ("evt_1", "evt_1", "evt_2"):
        deliver_payment(payment_of(order), event_id=event_id)

    assert Email.objects.count() == 2


def test_a_delivery_that_failed_and_is_replayed_is_told_once(sandbox, monkeypatch):
    order = order_of(OfferFactory())
    with monkeypatch.context() as patch:
        patch.setattr("marketplace.licenses.grant", lambda *_arguments: 1 / 0)
        deliver_payment(payment_of(order))
    before = messages_to(order.buyer)
    for _ in range(2):
        make_deliveries_due()
        retry_deliveries()

    assert (before, messages_to(order.buyer)) == ([], ["order_receipt"])


def test_a_refund_that_was_made_outside_of_veza_is_told_when_it_was_sent(sandbox):
    order = bought(sandbox)
    refund_at_dashboard(order, 4_00)

    (text,) = texts_to(order.buyer, "order_refund_sent")
    assert "€4.00" in text
    assert "order_refund_requested" not in messages_to(order.buyer)


def test_the_terms_on_a_receipt_are_those_that_were_sold(sandbox):
    order = paid(order_of(OfferFactory(license="commercial", rights={"copies": 7, "commercial_use": True})))

    (receipt,) = texts_to(order.buyer, "order_receipt")
    assert "You may also use it in what you sell or are paid for. Copies: 7. Commercial use: yes." in receipt


def test_a_withdrawal_is_acknowledged_with_its_items_and_time(sandbox):
    order = bought(sandbox, OfferFactory(), OfferFactory())
    refund = refund_of(order, item_ids=[order.items.first().pk])

    (text,) = texts_to(order.buyer, "order_refund_requested")
    assert order.items.first().title in text
    assert order.items.last().title not in text
    assert f"{timezone.localtime(refund.created_at):%H:%M} (UTC)" in text


@pytest.mark.parametrize(
    ("statuses", "message", "words"),
    [
        (["succeeded"], "order_refund_sent", "on its way"),
        (["failed"], "order_refund_failed", "could not be made"),
        (["succeeded", "failed"], "order_refund_returned", "your bank returned it"),
    ],
)
def test_a_buyer_hears_what_became_of_a_refund(sandbox, statuses, message, words):
    order = bought(sandbox)
    refund = refund_of(order)
    for status in statuses:
        deliver_refund(refund, status=status)

    (text,) = texts_to(order.buyer, message)
    assert words in text


def test_what_a_later_update_undid_is_not_told_any_more(sandbox):
    order = bought(sandbox)
    refund = refund_of(order)
    for status in ("succeeded", "failed"):
        deliver_refund(refund, status=status)

    (sent,) = written_to(order.buyer, "order_refund_sent")
    assert composed(sent) == Outdated("The refund is returned by the bank now.")


def test_a_failed_refund_says_why_in_our_words(sandbox):
    order = bought(sandbox)
    deliver_refund(refund_of(order), status="failed", error_code="54", error_message="Account acct_1 has no credit.")

    (text,) = texts_to(order.buyer, "order_refund_failed")
    assert "Our payment provider or the bank refused it." in text
    assert "acct_1" not in text


def test_a_dispute_says_what_it_means_for_the_licences(sandbox):
    order = paid(order_of(OfferFactory()))
    deliver_dispute(payment_of(order), "opened")
    (opened,) = texts_to(order.buyer, "order_dispute_opened")
    deliver_dispute(payment_of(order), "lost")

    (lost,) = texts_to(order.buyer, "order_dispute_lost")
    assert ("Suspended" in opened, "Revoked" in lost) == (True, True)
    assert texts_to(order.buyer, "order_dispute_opened") == []


@pytest.mark.parametrize(("first", "then"), [("won", "lost"), ("lost", "won")])
def test_a_decision_the_bank_changes_twice_is_told_each_time(sandbox, first, then):
    order = paid(order_of(OfferFactory()))
    deliver_dispute(payment_of(order), "opened")
    for status in (first, then, first, first):
        mark_sent(order.buyer)
        answer_dispute(payment_of(order), status)

    assert messages_to(order.buyer)[-3:] == [f"order_dispute_{status}" for status in (first, then, first)]


def test_a_dispute_is_opened_and_told_again_at_its_next_stage(sandbox):
    order = paid(order_of(OfferFactory()))
    for stage in ("dispute", "pre_arbitration"):
        answer_dispute(payment_of(order), "opened", dispute_stage=stage)

    assert len(written_to(order.buyer, "order_dispute_opened")) == 2
    assert len(texts_to(order.buyer, "order_dispute_opened")) == 1


def test_a_declined_payment_is_told_later_and_only_if_it_was_not_paid_then(sandbox):
    order = order_of(OfferFactory())
    deliver_payment(payment_of(order), status="failed")
    (email,) = written_to(order.buyer, "order_unpaid")
    assert "declined" in composed(email).text
    assert email.next_attempt_at > timezone.now()

    paid(order)

    assert composed(email) == Outdated("The order was paid after all.")


def test_a_buyer_who_left_the_page_hears_nothing(sandbox):
    order = order_of(OfferFactory())
    payment_of(order)
    sandbox.pay(payment_of(order).provider_key, "abandon")

    assert messages_to(order.buyer) == []


def test_a_free_order_has_a_receipt_too(sandbox):
    order = order_of(OfferFactory(price_minor=0, tax_basis_points=0))

    assert "Total paid: €0.00" in texts_to(order.buyer, "order_receipt")[0]


def test_a_seller_who_earns_nothing_gets_no_email(sandbox):
    order = order_of(OfferFactory(price_minor=0, tax_basis_points=0))

    assert messages_to(order.items.get().seller) == []


def test_a_declined_payment_says_why_and_leads_to_the_way_back(sandbox):
    order = decline(sandbox, order_of(OfferFactory()), error_code="insufficient_funds")

    (text,) = texts_to(order.buyer, "order_unpaid")

    assert "There is not enough money on the account." in text
    assert "/pay/order/" in text


def test_each_decline_of_an_order_is_told_once_while_it_is_the_last(sandbox):
    order = declined_order(sandbox)
    (first,) = written_to(order.buyer, "order_unpaid")
    pay_again(order)
    outdated = composed(first)
    decline(sandbox, order)

    assert isinstance(outdated, Outdated)
    assert (len(written_to(order.buyer, "order_unpaid")), len(texts_to(order.buyer, "order_unpaid"))) == (2, 1)


@pytest.mark.parametrize(("error_code", "told"), [("insufficient_funds", True), ("", False)])
def test_an_order_that_expires_is_told_if_its_payment_had_trouble(sandbox, error_code, told):
    order = order_of(OfferFactory())
    payment = payment_of(order)
    Order.objects.update(status="expired")
    payment.error_code, order.status = error_code, "expired"

    with transaction.atomic():
        write_unpaid_email(order, payment)

    texts = texts_to(order.buyer, "order_unpaid")
    assert ["It was not paid in time." in text for text in texts] == [True] * told


def test_a_receipt_names_what_was_no_longer_available_and_its_refund(sandbox):
    exclusive = OfferFactory(license="exclusive")
    first, second = order_of(exclusive), order_of(exclusive, OfferFactory())
    paid(first)
    sandbox.pay(payment_of(second).provider_key)
    paid(second)

    (receipt,) = texts_to(second.buyer, "order_receipt")
    assert "No longer available when your payment arrived: " in receipt
    assert "not available any more" in texts_to(second.buyer, "order_refund_requested")[0]


def test_a_receipt_has_the_tax_and_until_when_it_can_be_given_back(sandbox):
    (receipt,) = texts_to(paid(order_of(OfferFactory())).buyer, "order_receipt")

    assert "Tax: €2.00" in receipt
    assert "You can request a refund until " in receipt


def test_a_cancelled_order_has_no_way_back(sandbox):
    order = order_of(OfferFactory())
    cancel_order(order_id=order.pk, cause=BY_BUYER)

    (text,) = texts_to(order.buyer, "order_unpaid")
    assert "/pay/order/" not in text
