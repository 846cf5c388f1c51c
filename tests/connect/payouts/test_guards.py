"""Guards against paying out twice. Each test fails without the guard it names."""

from datetime import timedelta

import pytest
from django.utils import timezone

from connect.models import ConnectedAccount, SellerPayout
from connect.payouts import claim_payout, open_payout, record_payout, send_payout
from tests.connect.builders import PLENTY
from tests.connect.factories import BY_TEST
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
