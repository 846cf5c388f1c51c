"""Guards against paying out twice. Each test fails without the guard it names."""

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from connect.models import ConnectedAccount, SellerPayout
from connect.payouts import apply_payout, claim_payout, open_payout, record_payout, send_payout
from connect.stripe.objects import RemotePayout, Unreadable
from tests.connect.builders import PLENTY
from tests.connect.factories import BY_TEST, make_seller
from tests.connect.stripe_double import accepts_payout, refuses, rejects_key
from veza.core.ids import new_id

pytestmark = pytest.mark.django_db


@pytest.fixture
def payout(seller) -> SellerPayout:
    ConnectedAccount.objects.update(payouts_enabled=True)
    return open_payout(payout_id=new_id(), seller_id=seller.pk, amount_minor=5_00, currency="EUR", balance=PLENTY)


def claim(payout: SellerPayout) -> SellerPayout:
    claim = claim_payout(payout.pk, cause=BY_TEST, balance=PLENTY)
    assert claim is not None
    return claim


def fresh(payout: SellerPayout) -> SellerPayout:
    return SellerPayout.objects.get(pk=payout.pk)


def test_a_payout_that_stripe_refused_is_not_sent_again(stripe, payout):
    stripe.will("create_payout", refuses("balance_insufficient"))
    send_payout(payout.pk, cause=BY_TEST, balance=PLENTY)

    assert send_payout(payout.pk, cause=BY_TEST, balance=PLENTY) is None
    assert (fresh(payout).status, len(stripe.params)) == ("failed", 1)


def test_a_payout_that_stripe_acknowledged_is_not_sent_again(stripe, payout):
    stripe.will("create_payout", accepts_payout())
    send_payout(payout.pk, cause=BY_TEST, balance=PLENTY)

    assert send_payout(payout.pk, cause=BY_TEST, balance=PLENTY) is None
    assert len(stripe.params) == 1


def test_the_age_of_a_key_is_counted_from_the_first_attempt(payout):
    day_ago = timezone.now() - timedelta(days=1)
    SellerPayout.objects.update(first_sent_at=day_ago)

    claim(payout)

    assert fresh(payout).first_sent_at == day_ago


def test_an_attempt_that_was_not_sent_leaves_a_later_one_in_doubt(payout):
    first, _later = claim(payout), claim(payout)

    record_payout(payout.pk, rejects_key(), cause=BY_TEST, first_until=first.next_attempt_at)

    assert fresh(payout).in_doubt is True


def apply(payout: SellerPayout, **changes) -> str:
    """The result of an object of Stripe's about this payout."""
    usual = {"payout_id": "po_1", "amount_minor": 5_00, "currency": "EUR", "status": "paid", "our_id": str(payout.pk)}
    snapshot = RemotePayout(**usual | {"failure_code": "", "failure_message": ""} | changes)
    with transaction.atomic():
        account = payout.stripe_account_id
        return apply_payout(snapshot, stripe_account_id=account, cause=BY_TEST, at=timezone.now()).text


def test_a_payout_opened_again_under_its_id_keeps_its_amount(payout):
    again = open_payout(
        payout_id=payout.pk, seller_id=payout.seller_id, amount_minor=9_00, currency="EUR", balance=PLENTY
    )

    assert (again, fresh(payout).amount_minor) == (payout, 5_00)


def test_a_refusal_does_not_fail_a_payout_that_is_on_its_way(payout):
    apply(payout, status="in_transit")

    record_payout(payout.pk, refuses("balance_insufficient"), cause=BY_TEST)

    assert fresh(payout).status == "in_transit"


def test_an_object_of_another_amount_is_not_taken_for_ours(payout):
    with pytest.raises(Unreadable, match="amount and currency"):
        apply(payout, amount_minor=6_00)

    assert fresh(payout).status == "pending"


def test_an_object_with_the_id_of_another_payout_is_not_taken_for_ours(payout):
    other = make_seller()
    ConnectedAccount.objects.update(payouts_enabled=True)
    row = open_payout(payout_id=new_id(), seller_id=other.pk, amount_minor=5_00, currency="EUR", balance=PLENTY)
    apply(row, payout_id="po_1")

    with pytest.raises(Unreadable, match="that of another"):
        apply(payout, payout_id="po_1")


def test_a_second_object_that_names_our_payout_moves_nothing(payout):
    apply(payout, status="in_transit")

    assert apply(payout, payout_id="po_2", status="failed") == "skipped: unmatched"
    assert (fresh(payout).status, fresh(payout).external_payout_id) == ("in_transit", "po_1")
