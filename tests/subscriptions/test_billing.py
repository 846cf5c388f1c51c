"""Updates of payments by webhook: applied once, whatever the subscription's status is by then."""

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from payments.collection.expiry import close_unpaid
from payments.models import Payment, Posting
from payments.reconciliation import refresh as reconcile
from payments.reviews.mismatches import accept_received_amount
from subscriptions.changes import cancel
from subscriptions.invoices import mark_paid, open_invoice
from subscriptions.models import SubscriptionInvoice
from subscriptions.refunds import place_refund, request_refund
from tests.buying import (
    ago,
    deliver,
    deliver_payment,
    deliver_refund,
    envelope,
    order_of,
    payment_object,
    payment_of,
)
from tests.factories import OfferFactory
from tests.subscriptions.subscribing import (
    NOW,
    SWEEP,
    PlanFactory,
    activate,
    activate_by_webhook,
    complete,
    days,
    deliver_update,
    free_plan,
    gives_access,
    invoices_of,
    is_proved,
    last_invoice,
    last_payment,
    payments_of,
    press_button,
    refund_invoice,
    subscribe,
)
from veza.core.causes import Cause
from veza.core.ids import new_id
from veza.core.models import ReviewItem
from veza.core.states import move

pytestmark = pytest.mark.django_db
BY_STAFF = Cause("staff", reason="The buyer agrees.")


def test_the_webhook_pays_the_invoice_and_activates_the_subscription(sandbox):
    subscription = subscribe(PlanFactory())

    assert deliver_payment(last_payment(subscription)).json() == {"result": "ok"}

    subscription.refresh_from_db()
    invoice = last_invoice(subscription)
    assert (subscription.status, invoice.status) == ("active", "paid")
    assert invoice.hyperswitch_payment_id == last_payment(subscription).provider_key


def test_a_replay_changes_nothing_and_paid_at_does_not_move(sandbox):
    subscription = activate_by_webhook(sandbox)
    before = (last_invoice(subscription).paid_at, subscription.period_end_at, Posting.objects.count())

    deliver_payment(last_payment(subscription), event_id="another")

    subscription.refresh_from_db()
    assert (last_invoice(subscription).paid_at, subscription.period_end_at, Posting.objects.count()) == before


def test_the_money_is_income_and_tax_and_the_ledger_proves_it(sandbox):
    subscription = activate_by_webhook(sandbox)

    posted = Posting.objects.filter(kind="applied", subject_id=last_invoice(subscription).pk)
    assert dict(posted.values_list("credit_id", "amount_minor")) == {"subscription_income": 10_00, "tax": 2_00}
    assert is_proved(subscription)


def test_a_failure_expires_it_and_a_late_success_opens_it_again(sandbox):
    subscription = subscribe(PlanFactory())
    deliver_payment(last_payment(subscription), status="failed")
    subscription.refresh_from_db()
    assert (subscription.status, last_invoice(subscription).status) == ("expired", "failed")

    deliver_payment(last_payment(subscription))

    subscription.refresh_from_db()
    assert (subscription.status, last_invoice(subscription).status) == ("active", "paid")


def test_a_failure_older_than_the_success_changes_nothing(sandbox):
    subscription = activate_by_webhook(sandbox)

    deliver_payment(last_payment(subscription), status="failed", event_id="late", updated=ago(minutes=1))

    subscription.refresh_from_db()
    assert (subscription.status, last_invoice(subscription).status) == ("active", "paid")


@pytest.mark.parametrize("status", ["active", "cancelled"])
def test_a_subscription_that_moved_on_keeps_its_status_when_it_is_paid(sandbox, status):
    subscription = subscribe(PlanFactory())
    move(subscription, status, cause=Cause("command"), at=NOW)

    deliver_payment(last_payment(subscription))

    subscription.refresh_from_db()
    assert (subscription.status, last_invoice(subscription).status) == (status, "paid")
    assert last_payment(subscription).refunds.count() == (status == "cancelled")


@pytest.mark.parametrize("status", ["active", "cancelled"])
def test_a_subscription_that_moved_on_keeps_its_status_after_a_failure(sandbox, status):
    subscription = subscribe(PlanFactory())
    move(subscription, status, cause=Cause("command"), at=NOW)

    deliver_payment(last_payment(subscription), status="failed")

    subscription.refresh_from_db()
    assert (subscription.status, last_invoice(subscription).status) == (status, "failed")


def test_a_payment_of_an_order_changes_no_invoice(sandbox):
    order = order_of(OfferFactory())

    deliver_payment(payment_of(order))

    order.refresh_from_db()
    assert (order.status, SubscriptionInvoice.objects.count()) == ("completed", 0)


def test_the_wrong_amount_gives_no_access(sandbox):
    subscription = subscribe(PlanFactory())

    deliver_payment(last_payment(subscription), amount_received=1)

    subscription.refresh_from_db()
    assert (subscription.status, last_payment(subscription).status) == ("pending_payment", "mismatched")


def test_a_webhook_with_an_invalid_signature_gives_no_access(sandbox):
    subscription = subscribe(PlanFactory())
    raw = envelope("payment_succeeded", payment_object(last_payment(subscription)))

    assert deliver(raw, signature="00" * 64).status_code == 401

    assert not gives_access(subscription, NOW)


def test_the_second_payment_of_an_invoice_is_refunded(sandbox):
    subscription = subscribe(PlanFactory())
    press_button(sandbox, "decline", subscription)
    complete(subscription)
    first, second = payments_of(subscription)

    deliver_payment(first)
    deliver_payment(second)

    second.refresh_from_db()
    refund = second.refunds.get()
    assert (refund.allocation, refund.amount_minor) == ({"unapplied": 12_00}, 12_00)
    deliver_refund(refund)
    assert (last_invoice(subscription).status, is_proved(subscription)) == ("paid", True)


@pytest.fixture
def paid_by_the_second(sandbox):
    """A subscription whose first payment was declined, and whose second one paid the invoice."""
    subscription = subscribe(PlanFactory())
    press_button(sandbox, "decline", subscription)
    complete(subscription)
    sandbox.pay(last_payment(subscription).provider_key)
    deliver_payment(last_payment(subscription))
    subscription.refresh_from_db()
    return subscription


def test_the_refund_of_another_payment_leaves_a_refunded_invoice_refunded(paid_by_the_second):
    deliver_refund(refund_invoice(last_invoice(paid_by_the_second)))
    late = payments_of(paid_by_the_second)[0]
    deliver_payment(late)

    deliver_refund(late.refunds.get())

    assert last_invoice(paid_by_the_second).status == "refunded"


def test_a_failure_about_a_paid_invoice_does_not_move_the_next_charge(paid_by_the_second):
    due_at = timezone.now() + days(3)
    with transaction.atomic():
        move(paid_by_the_second, "past_due", cause=BY_STAFF, past_due_since_at=timezone.now(), due_at=due_at)
    late = payments_of(paid_by_the_second)[0]
    deliver(envelope("payment_processing", payment_object(late, status="processing", amount_received=None)))

    assert deliver_payment(late, status="failed", amount_received=None).json() == {"result": "ok"}

    paid_by_the_second.refresh_from_db()
    assert paid_by_the_second.due_at == due_at


def test_more_money_for_the_payment_of_an_invoice_is_left_to_finance(sandbox):
    subscription = activate_by_webhook(sandbox)

    deliver_payment(last_payment(subscription), amount_received=15_00)

    assert not last_payment(subscription).refunds.exists()
    assert ReviewItem.objects.filter(closed_at=None).values_list("kind", "amount_minor").get() == (
        "unapplied_funds",
        3_00,
    )


def test_a_full_refund_ends_the_access(sandbox):
    subscription = activate_by_webhook(sandbox)

    deliver_refund(refund_invoice(last_invoice(subscription)))

    subscription.refresh_from_db()
    assert (subscription.status, last_invoice(subscription).status) == ("expired", "refunded")
    assert is_proved(subscription)


def test_a_refund_that_is_repeated_under_its_id_is_the_first(sandbox):
    subscription = activate_by_webhook(sandbox)
    order = {"invoice_id": last_invoice(subscription).pk, "requested_by_id": subscription.user_id, "reason": "x"}
    order |= {"cause": BY_STAFF, "at": NOW}
    refund_id = new_id()

    first = place_refund(refund_id=refund_id, amount_minor=5_00, **order)

    assert place_refund(refund_id=refund_id, amount_minor=7_00, **order) == first
    assert last_payment(subscription).refunds.get().amount_minor == 5_00


def test_a_refund_requested_again_under_its_id_is_sent_once(sandbox):
    invoice = last_invoice(activate_by_webhook(sandbox))
    support = {"requested_by_id": invoice.subscription.user_id, "reason": "x", "cause": BY_STAFF}
    refund_id = new_id()

    for _ in range(2):
        request_refund(refund_id=refund_id, invoice_id=invoice.pk, amount_minor=5_00, **support)

    assert [call["path"] for call in sandbox.calls()].count("/refunds") == 1


def test_a_partial_refund_keeps_the_access_and_the_rest_ends_it(sandbox):
    subscription = activate_by_webhook(sandbox)
    deliver_refund(refund_invoice(last_invoice(subscription), 5_00))
    subscription.refresh_from_db()
    assert (subscription.status, last_invoice(subscription).status) == ("active", "paid")

    deliver_refund(refund_invoice(last_invoice(subscription)))

    subscription.refresh_from_db()
    assert (subscription.status, is_proved(subscription)) == ("expired", True)


def test_a_refund_returned_by_the_bank_restores_the_access(sandbox):
    subscription = activate_by_webhook(sandbox)
    refund = refund_invoice(last_invoice(subscription))
    deliver_refund(refund)

    deliver_refund(refund, status="failed")

    subscription.refresh_from_db()
    assert (subscription.status, last_invoice(subscription).status) == ("active", "paid")
    assert subscription.due_at is not None
    assert is_proved(subscription)


@pytest.mark.parametrize("ends_first", [True, False])
def test_a_full_refund_that_fails_lets_it_renew_again(sandbox, ends_first):
    subscription = activate_by_webhook(sandbox)
    due_at = subscription.due_at
    refund = refund_invoice(last_invoice(subscription))
    subscription.refresh_from_db()
    assert (subscription.cancel_at_period_end, subscription.ending_refund_id) == (True, refund.pk)
    if ends_first:
        deliver_refund(refund)

    deliver_refund(refund, status="failed")

    subscription.refresh_from_db()
    assert (subscription.status, subscription.cancel_at_period_end, subscription.due_at) == ("active", False, due_at)


def test_a_refund_that_fails_undoes_no_cancellation_of_the_subscriber(sandbox):
    subscription = activate_by_webhook(sandbox)
    refund = refund_invoice(last_invoice(subscription))
    cancel(user_id=subscription.user_id, now=False, cause=BY_STAFF, at=timezone.now())

    deliver_refund(refund, status="failed")

    subscription.refresh_from_db()
    assert (subscription.status, subscription.cancel_at_period_end) == ("active", True)


def test_a_refund_of_an_earlier_period_keeps_the_current_one(sandbox):
    subscription = activate(sandbox, at=NOW - days(400))
    first = last_invoice(subscription)
    second = SubscriptionInvoice.objects.create(
        subscription=subscription,
        plan=subscription.plan,
        period_start_at=NOW,
        period_end_at=NOW + days(3_000),
        net_minor=10_00,
        tax_minor=0,
        total_minor=10_00,
        currency="EUR",
        status="paid",
        paid_at=NOW,
        hyperswitch_payment_id="pay_of_the_second",
    )

    deliver_refund(refund_invoice(first))

    subscription.refresh_from_db()
    assert (subscription.status, [row.status for row in invoices_of(subscription)]) == ("active", ["refunded", "paid"])
    assert second.status == "paid"


def test_the_payment_method_is_saved_for_renewals(sandbox):
    subscription = activate(sandbox)

    assert subscription.hyperswitch_payment_method_id.startswith("pm_")
    assert subscription.hyperswitch_customer_id == f"cus_{subscription.user_id.hex}"


def test_repeated_updates_pay_the_invoice_once(sandbox):
    subscription = subscribe(PlanFactory())
    sandbox.pay(last_payment(subscription).provider_key)
    for _ in range(3):
        deliver_update(last_payment(subscription))

    assert Posting.objects.filter(kind="applied").count() == 2


def test_reconciliation_replaces_a_webhook_that_never_arrives(sandbox):
    subscription = subscribe(PlanFactory())
    sandbox.pay(last_payment(subscription).provider_key)
    an_hour_ago = timezone.now() - timedelta(hours=1)
    Payment.objects.filter(correlation_id=subscription.pk).update(created_at=an_hour_ago)

    reconcile.run(cause=reconcile.by_reconciler())

    subscription.refresh_from_db()
    assert (subscription.status, last_invoice(subscription).status) == ("active", "paid")


def test_a_payment_page_that_closes_unpaid_ends_the_subscription(sandbox):
    subscription = subscribe(PlanFactory())

    close_unpaid(last_payment(subscription).pk, cause=SWEEP)

    subscription.refresh_from_db()
    assert (subscription.status, last_invoice(subscription).status) == ("expired", "failed")


def test_an_accepted_surplus_activates_and_only_the_surplus_is_refunded(sandbox):
    subscription = subscribe(PlanFactory())
    deliver_payment(last_payment(subscription), amount_received=15_00)

    accept_received_amount(payment_id=last_payment(subscription).pk, cause=BY_STAFF)

    subscription.refresh_from_db()
    assert (subscription.status, last_payment(subscription).refunds.get().amount_minor) == ("active", 3_00)
    assert is_proved(subscription)


def test_a_surplus_for_a_paid_invoice_is_refunded_in_full(sandbox):
    subscription = subscribe(PlanFactory())
    press_button(sandbox, "decline", subscription)
    complete(subscription)
    first, second = payments_of(subscription)
    deliver_payment(first)
    deliver_payment(second, amount_received=15_00)

    accept_received_amount(payment_id=second.pk, cause=BY_STAFF)

    assert second.refunds.get().allocation == {"unapplied": 15_00}
    deliver_refund(second.refunds.get())
    assert is_proved(subscription)


def test_a_surplus_for_a_cancelled_subscription_is_refunded_in_full(sandbox):
    subscription = subscribe(PlanFactory())
    move(subscription, "cancelled", cause=Cause("command"), at=NOW)
    deliver_payment(last_payment(subscription), amount_received=15_00)

    accept_received_amount(payment_id=last_payment(subscription).pk, cause=BY_STAFF)

    refund = last_payment(subscription).refunds.get()
    assert refund.allocation == {"subscription_income": 10_00, "tax": 2_00, "unapplied": 3_00}
    deliver_refund(refund)
    assert is_proved(subscription)


def test_a_late_payment_too_old_to_refund_opens_a_review_item(sandbox):
    subscription = subscribe(PlanFactory())
    move(subscription, "cancelled", cause=Cause("command"), at=NOW)
    Payment.objects.update(created_at=ago(days=366))

    deliver_payment(last_payment(subscription))

    assert last_payment(subscription).received_minor == 12_00
    assert ReviewItem.objects.get().kind == "unapplied_funds"
    assert is_proved(subscription)


def test_a_refunded_surplus_does_not_count_as_part_of_the_invoice(sandbox):
    subscription = subscribe(PlanFactory())
    deliver_payment(last_payment(subscription), amount_received=15_00)
    accept_received_amount(payment_id=last_payment(subscription).pk, cause=BY_STAFF)
    deliver_refund(last_payment(subscription).refunds.get())

    deliver_refund(refund_invoice(last_invoice(subscription), 9_00))

    subscription.refresh_from_db()
    assert (subscription.status, last_invoice(subscription).status) == ("active", "paid")


def test_a_late_surplus_too_old_to_refund_is_one_review_item(sandbox):
    subscription = subscribe(PlanFactory())
    move(subscription, "cancelled", cause=Cause("command"), at=NOW)
    Payment.objects.update(created_at=ago(days=366))
    deliver_payment(last_payment(subscription), amount_received=15_00)

    accept_received_amount(payment_id=last_payment(subscription).pk, cause=BY_STAFF)

    [review] = ReviewItem.objects.filter(closed_at=None)
    assert (review.kind, review.amount_minor) == ("unapplied_funds", 15_00)


def test_marking_an_invoice_paid_by_less_than_its_total_is_a_bug(sandbox):
    subscription = subscribe(PlanFactory())
    payment, invoice = last_payment(subscription), last_invoice(subscription)
    period = (invoice.period_start_at, invoice.period_end_at)

    with pytest.raises(AssertionError, match="by its total or more"), transaction.atomic():
        mark_paid(invoice, payment, period=period, cause=BY_STAFF, at=NOW)


def test_an_invoice_of_a_free_plan_is_a_bug():
    subscription = subscribe(free_plan())

    with pytest.raises(AssertionError, match="a free plan has no invoices"):
        open_invoice(subscription, subscription.plan, start_at=NOW)
