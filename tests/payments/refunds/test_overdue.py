"""A refund that stays pending for days needs review, and finance can end it."""

from datetime import timedelta

import pytest
from django.utils import timezone

from payments.models import Refund
from payments.refunds.overdue import RefundNotOverdue, end_overdue_refund, review_overdue_refunds
from payments.review_items import REFUND_OVERDUE
from payments.tasks import review_refunds
from tests.buying import ago, deliver_refund, order_of, paid, payment_of, refund_of
from tests.factories import OfferFactory
from veza.backoffice.proof import prove_payment
from veza.core.causes import Cause
from veza.core.models import Heartbeat, ReviewItem

pytestmark = pytest.mark.django_db
BY_FINANCE = Cause("staff", actor="finance", reason="Hyperswitch's staff confirmed it.")


@pytest.fixture
def refund(sandbox) -> Refund:
    """A refund of 12.00 that has been pending for four days."""
    order = paid(order_of(OfferFactory()))
    sandbox.pay(payment_of(order).provider_key)
    refund = refund_of(order)
    Refund.objects.update(created_at=ago(days=4, seconds=1))
    refund.refresh_from_db()
    return refund


def item() -> ReviewItem:
    return ReviewItem.objects.get(kind=REFUND_OVERDUE)


def end(refund: Refund) -> Refund:
    return end_overdue_refund(refund_id=refund.pk, cause=BY_FINANCE, at=timezone.now())


def test_a_refund_that_is_pending_for_four_days_needs_review(refund):
    review_refunds()

    assert (item().subject_id, item().amount_minor, item().status) == (refund.pk, 12_00, "open")
    assert Heartbeat.objects.get(name="payments.review_refunds").done == 1


def test_a_younger_one_does_not(refund):
    Refund.objects.update(created_at=ago(days=3, hours=23))

    assert review_overdue_refunds() == 0


def test_it_is_reviewed_once(refund):
    assert (review_overdue_refunds(), review_overdue_refunds()) == (1, 0)


def test_an_item_that_was_closed_by_hand_comes_back_as_late_again(refund):
    review_overdue_refunds()
    ReviewItem.objects.update(closed_at=ago(days=1))
    assert review_overdue_refunds() == 0

    ReviewItem.objects.update(closed_at=ago(days=4, seconds=1))

    assert review_overdue_refunds() == 1


def test_no_refund_is_overdue_without_a_limit(refund, settings):
    settings.REFUND_REVIEW_AFTER = timedelta(0)

    assert review_overdue_refunds() == 0


@pytest.mark.parametrize("status", ["succeeded", "failed"])
def test_its_end_closes_the_review(refund, status):
    review_overdue_refunds()

    deliver_refund(refund, status=status)

    assert item().status == "closed"


def test_finance_ends_a_refund_that_will_not_be_made(refund):
    review_overdue_refunds()

    ended = end(refund)

    assert (ended.status, ended.error_code) == ("failed", "ended_by_staff")
    assert item().status == "closed"
    assert payment_of_refund(refund).refundable_minor() == 12_00


def payment_of_refund(refund: Refund):
    return Refund.objects.get(pk=refund.pk).payment


def test_ending_reads_first_and_applies_what_was_decided(sandbox, refund):
    sandbox.control(f"refunds/{refund.provider_key}", status="succeeded", silent=True)

    assert end(refund).status == "succeeded"


def test_a_refund_is_not_ended_without_an_answer(sandbox, refund):
    sandbox.fault("drop", "^/refunds/", method="GET", times=0)

    with pytest.raises(RefundNotOverdue, match="does not answer"):
        end(refund)

    refund.refresh_from_db()
    assert refund.status == "pending"


def test_a_young_refund_is_not_ended(refund):
    Refund.objects.update(created_at=ago(days=1))

    with pytest.raises(RefundNotOverdue):
        end(refund)


def test_a_refund_that_succeeds_after_it_was_ended_is_booked(refund):
    end(refund)

    deliver_refund(refund)

    refund.refresh_from_db()
    assert refund.status == "succeeded"
    assert prove_payment(payment_of_refund(refund)).is_balanced
