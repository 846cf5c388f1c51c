"""A wrong key opens one review item and counts no attempt against any row."""

from datetime import timedelta

import pytest
from django.utils import timezone

from payments import tasks
from payments.models import Payment, Refund
from payments.reconciliation import refresh as reconcile
from tests.buying import order_of, paid, payment_of, refund_of
from tests.factories import OfferFactory
from veza.core.models import ProviderCall, ReviewItem

pytestmark = pytest.mark.django_db
WRONG_KEY = "snd_wrong"


@pytest.fixture
def three_orders(sandbox):
    return [order_of(OfferFactory()) for _ in range(3)]


def due_now(model, **also) -> None:
    past = timezone.now() - timedelta(hours=1)
    model.objects.update(next_attempt_at=past, created_at=past, **also)


def count_rejections() -> tuple[int, int]:
    """How many calls were rejected, and how many review items are open about it."""
    items = ReviewItem.objects.filter(kind="hyperswitch_auth_rejected", closed_at=None)
    return ProviderCall.objects.filter(status=401).count(), items.count()


def test_the_reconciler_stops_with_one_review_item_and_counts_no_attempt(three_orders, settings):
    settings.HYPERSWITCH_API_KEY = WRONG_KEY
    due_now(Payment, attempts=3)

    reconcile.run(cause=reconcile.by_reconciler())

    assert count_rejections() == (1, 1)
    assert set(Payment.objects.values_list("status", "attempts")) == {("pending", 3)}
    assert all(payment.next_attempt_at < timezone.now() + timedelta(minutes=6) for payment in Payment.objects.all())


@pytest.mark.django_db(transaction=True)
def test_rejected_calls_side_by_side_open_one_review_item(three_orders, settings):
    settings.HYPERSWITCH_API_KEY = WRONG_KEY
    due_now(Payment)

    reconcile.run(cause=reconcile.by_reconciler())

    calls, items = count_rejections()
    assert (1 <= calls <= 3, items) == (True, 1)


def test_sending_payments_stops_and_counts_no_attempt(sandbox, settings):
    settings.HYPERSWITCH_API_KEY = WRONG_KEY
    for _ in range(3):
        order_of(OfferFactory())
    ProviderCall.objects.all().delete()
    due_now(Payment)

    tasks.resend()

    assert count_rejections() == (1, 1)
    assert set(Payment.objects.values_list("status", "attempts")) == {("created", 0)}


def test_closing_unpaid_pages_stops(three_orders, settings):
    settings.HYPERSWITCH_API_KEY = WRONG_KEY
    Payment.objects.update(close_due_at=timezone.now())

    tasks.close_unpaid()

    assert count_rejections() == (1, 1)
    assert set(Payment.objects.values_list("status", flat=True)) == {"pending"}


@pytest.mark.parametrize("was_sent", [True, False])
def test_a_rejected_refund_is_reviewed_and_sent_with_the_right_key(sandbox, settings, was_sent):
    order = paid(order_of(OfferFactory()))
    sandbox.pay(payment_of(order).provider_key)
    right_key, settings.HYPERSWITCH_API_KEY = settings.HYPERSWITCH_API_KEY, WRONG_KEY
    refund = refund_of(order)
    due_now(Refund, **({} if was_sent else {"first_sent_at": None}))
    tasks.resend()
    assert count_rejections()[1] == 1

    settings.HYPERSWITCH_API_KEY = right_key
    due_now(Refund, send_after=timezone.now())
    tasks.resend()

    refund.refresh_from_db()
    assert (refund.status, refund.hyperswitch_refund_id) == ("pending", refund.provider_key)


def test_a_rejected_refund_was_never_sent_and_is_no_orphan(sandbox, settings):
    order = paid(order_of(OfferFactory()))
    sandbox.pay(payment_of(order).provider_key)
    right_key, settings.HYPERSWITCH_API_KEY = settings.HYPERSWITCH_API_KEY, WRONG_KEY
    refund = refund_of(order)
    settings.HYPERSWITCH_API_KEY = right_key
    due_now(Refund)

    reconcile.run(cause=reconcile.by_reconciler())
    tasks.resend()

    refund.refresh_from_db()
    assert (refund.status, refund.hyperswitch_refund_id) == ("pending", refund.provider_key)


def test_the_review_item_closes_when_the_right_key_is_accepted(three_orders, settings):
    right_key, settings.HYPERSWITCH_API_KEY = settings.HYPERSWITCH_API_KEY, WRONG_KEY
    due_now(Payment)
    tasks.resend()
    assert count_rejections() == (1, 1)

    settings.HYPERSWITCH_API_KEY = right_key
    due_now(Payment)
    tasks.resend()

    assert count_rejections() == (1, 0)
    assert ReviewItem.objects.get().note.startswith("Key accepted: GET /payments/")


def test_a_provider_that_is_switched_off_rejects_nothing(three_orders, settings):
    settings.HYPERSWITCH_ENABLED = False
    due_now(Payment)

    reconcile.run(cause=reconcile.by_reconciler())

    assert not ReviewItem.objects.exists()
    assert set(Payment.objects.values_list("attempts", flat=True)) == {1}
