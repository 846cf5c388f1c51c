"""Licences follow what a lost dispute left of each item; what was lost in part needs review."""

import pytest

from marketplace.models import License
from tests.buying import (
    answer_dispute,
    deliver_dispute,
    deliver_refund,
    order_of,
    paid,
    payment_of,
    refund_of,
    two_sellers_order,
)
from tests.factories import OfferFactory
from veza.backoffice.proof import prove_payment
from veza.core.causes import Cause
from veza.core.models import ReviewItem
from veza.core.reviews import close_review_by_hand

pytestmark = pytest.mark.django_db
BY_SUPPORT = Cause("staff", actor="support", reason="The buyer keeps them.")


@pytest.fixture
def order(sandbox):
    """12.00 for one item, 6.00 for another, from two sellers."""
    order = paid(two_sellers_order())
    sandbox.pay(payment_of(order).provider_key)
    return order


def licences(order) -> dict[int, str]:
    assert prove_payment(payment_of(order)).differences == []
    return {row.item.net_minor: str(row.status) for row in License.objects.filter(order=order).select_related("item")}


def open_item() -> ReviewItem | None:
    return ReviewItem.objects.filter(kind="order_disputed_in_part", closed_at=None).first()


def item_of(order, net_minor: int):
    return order.items.get(net_minor=net_minor).pk


def test_a_lost_dispute_of_one_cent_revokes_no_licence(order):
    for _ in range(2):
        deliver_dispute(payment_of(order), "lost", amount_minor=1)

    order.refresh_from_db()
    assert (order.status, licences(order)) == ("completed", {10_00: "active", 5_00: "active"})


def test_a_lost_part_needs_review_naming_order_and_amount(order):
    deliver_dispute(payment_of(order), "lost", amount_minor=1)

    item = open_item()
    assert (item.subject_id, item.amount_minor, item.currency) == (order.pk, 1, "EUR")
    assert "0.01 EUR of 18.00 EUR" in item.why
    assert str(order.pk) in item.why


def test_an_item_of_which_nothing_is_left_is_revoked(order):
    deliver_refund(refund_of(order, item_ids=[item_of(order, 5_00)], amount_minor=5_99))

    deliver_dispute(payment_of(order), "lost", amount_minor=12_00)

    assert licences(order) == {10_00: "active", 5_00: "revoked"}


def test_a_lost_part_and_a_refund_of_the_rest_revoke_every_licence(order):
    deliver_dispute(payment_of(order), "lost", amount_minor=6_00)
    deliver_refund(refund_of(order, amount_minor=12_00))

    order.refresh_from_db()
    assert (order.status, licences(order)) == ("refunded", {10_00: "revoked", 5_00: "revoked"})
    assert open_item() is None


def test_a_whole_lost_dispute_revokes_all_without_a_review(order):
    deliver_dispute(payment_of(order), "lost")

    assert licences(order) == {10_00: "revoked", 5_00: "revoked"}
    assert open_item() is None


def test_two_lost_parts_that_make_the_whole_revoke_all(order):
    deliver_dispute(payment_of(order), "lost", amount_minor=17_99)
    assert open_item().amount_minor == 17_99

    deliver_dispute(payment_of(order), "lost", amount_minor=1, dispute_id="dp_2")

    assert (set(licences(order).values()), open_item()) == ({"revoked"}, None)


def test_a_second_lost_part_raises_the_amount_in_review(order):
    deliver_dispute(payment_of(order), "lost", amount_minor=1_00)
    deliver_dispute(payment_of(order), "lost", amount_minor=2_00, dispute_id="dp_2")

    assert open_item().amount_minor == 3_00


def test_a_lost_part_that_support_decided_about_is_not_asked_again(order):
    deliver_dispute(payment_of(order), "lost", amount_minor=1)
    close_review_by_hand(case_id=open_item().pk, cause=BY_SUPPORT)

    deliver_dispute(payment_of(order), "opened", amount_minor=1_00, dispute_id="dp_2")

    assert open_item() is None


def test_a_part_that_is_lost_again_after_it_was_won_needs_review_again(order):
    deliver_dispute(payment_of(order), "lost", amount_minor=1)
    answer_dispute(payment_of(order), "won", amount_minor=1)
    assert open_item() is None

    answer_dispute(payment_of(order), "lost", amount_minor=1)

    assert open_item().amount_minor == 1


def test_an_open_dispute_of_a_part_suspends_what_is_not_revoked(order):
    deliver_refund(refund_of(order, item_ids=[item_of(order, 5_00)]))

    deliver_dispute(payment_of(order), "opened", amount_minor=1)

    assert licences(order) == {10_00: "suspended", 5_00: "revoked"}


def test_a_free_item_stays_while_a_paid_one_does(sandbox):
    order = paid(order_of(OfferFactory(price_minor=10_00), OfferFactory(price_minor=0)))

    deliver_dispute(payment_of(order), "lost", amount_minor=1)
    assert licences(order) == {10_00: "active", 0: "active"}

    deliver_dispute(payment_of(order), "lost", amount_minor=11_99, dispute_id="dp_2")
    assert licences(order) == {10_00: "revoked", 0: "revoked"}
