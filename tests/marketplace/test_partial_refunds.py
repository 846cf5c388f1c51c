"""Partial refunds: by item, by amount, by amount within items; and who may request them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.allocation import ItemShares, seller_shares, split
from marketplace.models import License, RefundLine
from marketplace.refunds import ItemNotInOrder, RefundForbidden, RefundWindowExpired
from payments.models import Refund
from payments.refunds.refund_requests import MOST_REFUNDS, RefundExceedsPayment, RefundLimitReached
from tests.buying import ago, deliver_refund, payment_of, refund_of, support
from tests.factories import PersonFactory
from veza.backoffice.proof import prove_payment
from veza.core.errors import NotFound
from veza.core.ids import new_id

pytestmark = pytest.mark.django_db


def succeed(refund: Refund) -> Refund:
    """The refund after Hyperswitch reported its success."""
    assert deliver_refund(refund).json() == {"result": "ok"}
    refund.refresh_from_db()
    return refund


minor = st.integers(min_value=0, max_value=10_000)
items = st.lists(
    st.builds(
        ItemShares,
        item_id=st.uuids(),
        seller_id=st.uuids(),
        seller_minor=minor,
        fee_minor=minor,
        tax_minor=minor,
    ),
    min_size=1,
    max_size=6,
)


def subtract(remaining: list[ItemShares], parts: list[ItemShares]) -> list[ItemShares]:
    return [
        ItemShares(
            share.item_id,
            share.seller_id,
            share.seller_minor - part.seller_minor,
            share.fee_minor - part.fee_minor,
            share.tax_minor - part.tax_minor,
        )
        for share, part in zip(remaining, parts, strict=True)
    ]


@given(remaining=items, data=st.data())
def test_any_sequence_of_partial_refunds_adds_up_and_empties_every_share(remaining, data):
    while available := sum(part.total_minor for part in remaining):
        amount = data.draw(st.integers(min_value=max(1, available // 4), max_value=available))
        parts = split(amount, remaining, "EUR")
        remaining = subtract(remaining, parts)

        assert sum(part.total_minor for part in parts) == amount
        assert all(min(part.seller_minor, part.fee_minor, part.tax_minor) >= 0 for part in remaining)

    assert all(part.total_minor == 0 for part in remaining)


def test_a_refund_of_an_item_revokes_the_license_of_that_item_only(order):
    item = order.items.order_by("net_minor").first()

    refund = succeed(refund_of(order, item_ids=[item.pk]))

    order.refresh_from_db()
    assert (refund.amount_minor, order.status) == (item.total_minor, "completed")
    active = License.objects.filter(order=order, status="active")
    assert [row.item_id for row in active] == [order.items.exclude(pk=item.pk).get().pk]


def test_a_refund_of_an_amount_is_spread_over_all_items(order):
    refund = succeed(refund_of(order, amount_minor=9_00))

    assert sorted(line.total_minor for line in refund.lines.all()) == [3_00, 6_00]
    assert License.objects.filter(order=order, status="active").count() == 2


def test_an_amount_within_an_item_is_taken_from_that_item_only(order):
    item = order.items.order_by("net_minor").first()

    refund = refund_of(order, item_ids=[item.pk], amount_minor=1_00)

    assert [line.item_id for line in refund.lines.all()] == [item.pk]


def test_three_partial_refunds_empty_the_order(order):
    for amount in (1_01, 9_99, None):
        succeed(refund_of(order, amount_minor=amount))

    order.refresh_from_db()
    assert order.status == "refunded"
    assert not License.objects.filter(order=order, status="active").exists()
    assert set(seller_shares(order.pk).values()) == {0}
    assert prove_payment(payment_of(order)).is_balanced


def test_the_split_of_a_refund_is_fixed_when_it_is_opened(order):
    refund = refund_of(order, amount_minor=5_00)
    lines = list(RefundLine.objects.filter(refund=refund).values())

    succeed(refund)

    assert list(RefundLine.objects.filter(refund=refund).values()) == lines


def test_each_seller_is_charged_their_part_only(order):
    before = seller_shares(order.pk)

    succeed(refund_of(order, amount_minor=9_00))

    after = seller_shares(order.pk)
    assert {before[seller] - after[seller] for seller in before} == {4_50, 2_25}


def test_an_amount_above_what_remains_is_refused(order):
    succeed(refund_of(order, amount_minor=10_00))

    with pytest.raises(RefundExceedsPayment, match=r"Only 8\.00 EUR is left"):
        refund_of(order, amount_minor=8_01)


def test_an_item_cannot_be_refunded_twice(order):
    item = order.items.first()
    succeed(refund_of(order, item_ids=[item.pk]))

    with pytest.raises(RefundExceedsPayment, match=r"Only 0\.00 EUR"):
        refund_of(order, item_ids=[item.pk])


def test_items_of_another_order_are_not_items_of_this_one(order):
    with pytest.raises(ItemNotInOrder):
        refund_of(order, item_ids=[new_id()])


def test_a_seller_refunds_their_own_items(order):
    item = order.items.first()

    refund = refund_of(order, requested_by=item.seller)

    assert (refund.source, refund.amount_minor) == ("seller", item.total_minor)


def test_a_seller_cannot_refund_an_item_of_another_seller(order):
    mine, theirs = order.items.all()

    with pytest.raises(RefundForbidden):
        refund_of(order, requested_by=mine.seller, item_ids=[theirs.pk])


def test_staff_refund_with_the_permission_even_after_the_window(order):
    type(order).objects.filter(pk=order.pk).update(refund_deadline=ago(days=1))

    refund = refund_of(order, requested_by=support())

    assert refund.source == "support"


def test_staff_without_the_permission_may_not(order):
    with pytest.raises(RefundForbidden):
        refund_of(order, requested_by=PersonFactory(is_staff=True))


def test_a_seller_is_bound_to_the_window_too(order):
    type(order).objects.filter(pk=order.pk).update(refund_deadline=ago(seconds=1))

    with pytest.raises(RefundWindowExpired):
        refund_of(order, requested_by=order.items.first().seller)


def test_an_order_without_a_deadline_can_always_be_refunded(order):
    type(order).objects.filter(pk=order.pk).update(refund_deadline=None)

    assert refund_of(order).status == "pending"


def test_another_user_does_not_find_the_order(order):
    with pytest.raises(NotFound):
        refund_of(order, requested_by=PersonFactory())


def test_a_payment_is_refunded_ten_times_at_most(order):
    for _ in range(MOST_REFUNDS):
        succeed(refund_of(order, amount_minor=1))

    with pytest.raises(RefundLimitReached):
        refund_of(order, amount_minor=1)


def test_a_payment_of_last_year_is_too_old(order):
    payment = payment_of(order)
    type(payment).objects.filter(pk=payment.pk).update(created_at=ago(days=366))

    with pytest.raises(RefundLimitReached, match="older than a year"):
        refund_of(order)
