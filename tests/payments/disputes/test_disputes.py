"""Disputes: the money is in suspense, lost or restored, and never taken from a seller twice."""

import itertools
from datetime import timedelta

import pytest
from django.utils import timezone

from connect.models import SellerTransfer
from connect.settlement.reconcile_seller import net_paid
from marketplace.allocation import is_disputed, seller_shares
from marketplace.models import License
from payments import tasks
from payments.admin_actions import RefreshDispute
from payments.disputes.dispute_updates import apply_dispute
from payments.hyperswitch import client as hyperswitch_api
from payments.hyperswitch.objects import parse_dispute
from payments.ledger.postings import balances
from payments.models import Dispute
from payments.reconciliation import refresh as reconcile
from payments.refunds.refund_requests import RefundExceedsPayment
from payments.states import DISPUTE_LOST, DISPUTE_MOVES, DisputeStatus
from tests.buying import deliver_dispute, deliver_refund, dispute_object, order_of, paid, payment_of, refund_of, support
from tests.factories import OfferFactory
from tests.payments.builders import RECONCILE, balances_of, is_proved
from veza.core.admin_actions import ActionRequest
from veza.core.models import ReviewItem

pytestmark = pytest.mark.django_db


def standing(order) -> tuple:
    order.refresh_from_db()
    statuses = set(License.objects.filter(order=order).values_list("status", flat=True))
    return order.status, statuses


PAID = {"psp_clearing": -18_00, "seller": 13_50, "platform_fee": 1_50, "tax": 3_00}


def test_an_open_dispute_holds_the_money_and_suspends_the_licenses(order):
    deliver_dispute(payment_of(order), "opened")

    assert standing(order) == ("completed", {"suspended"})
    assert balances_of(order) == {"psp_clearing": -18_00, "dispute_suspense": 18_00}
    assert is_disputed(order.pk)
    assert is_proved(order)


def test_nothing_can_be_refunded_while_the_whole_payment_is_disputed(order):
    deliver_dispute(payment_of(order), "opened")

    with pytest.raises(RefundExceedsPayment):
        refund_of(order)


def test_an_open_dispute_opens_a_review_item_until_it_is_answered(order):
    deliver_dispute(payment_of(order), "opened")
    item = ReviewItem.objects.get()
    assert (item.kind, item.amount_minor) == ("dispute_to_answer", 18_00)
    assert "20 Oct 2026" in item.what_to_do

    deliver_dispute(payment_of(order), "challenged")

    item.refresh_from_db()
    assert item.closed_by == "veza"


@pytest.mark.parametrize("end", ["lost", "accepted", "expired"])
def test_a_lost_dispute_reverses_the_sellers_share_once(order, end):
    deliver_dispute(payment_of(order), "opened")

    for _ in range(2):
        deliver_dispute(payment_of(order), end)

    assert standing(order) == ("refunded", {"revoked"})
    assert balances_of(order) == {}
    assert set(seller_shares(order.pk).values()) == {0}
    assert sum(net_paid(row) for row in SellerTransfer.objects.all()) == 0
    assert is_proved(order)


@pytest.mark.parametrize("end", ["won", "cancelled"])
def test_a_won_or_cancelled_dispute_restores_everything(order, end):
    deliver_dispute(payment_of(order), "opened")

    deliver_dispute(payment_of(order), end)

    assert standing(order) == ("completed", {"active"})
    assert balances_of(order) == PAID
    assert not is_disputed(order.pk)
    assert is_proved(order)


def test_a_partial_dispute_is_taken_from_every_account_in_proportion(order):
    deliver_dispute(payment_of(order), "lost", amount_minor=6_00)

    assert balances_of(order) == {"psp_clearing": -12_00, "seller": 9_00, "platform_fee": 1_00, "tax": 2_00}
    assert sum(net_paid(row) for row in SellerTransfer.objects.all()) == 9_00
    assert is_proved(order)


def test_what_the_bank_takes_beyond_the_payment_is_recoverable(order):
    deliver_dispute(payment_of(order), "lost", amount_minor=20_00)

    assert balances_of(order) == {"psp_clearing": 2_00, "recoverable": -2_00}
    assert ReviewItem.objects.get(closed_at=None).kind == "dispute_exceeds_payment"
    assert is_proved(order)


def test_an_inquiry_before_a_dispute_takes_nothing(order):
    deliver_dispute(payment_of(order), "opened", dispute_stage="pre_dispute")

    assert Dispute.objects.get().stage == "pre_dispute"
    assert standing(order) == ("completed", {"active"})
    assert balances_of(order) == PAID


def test_a_dispute_in_another_currency_is_taken_from_no_share(order):
    deliver_dispute(payment_of(order), "lost", amount_minor=20_00, currency="USD")

    assert balances(correlation_id=order.pk, currency="USD") == {
        ("recoverable", "USD"): -20_00,
        ("psp_clearing", "USD"): 20_00,
        ("dispute_suspense", "USD"): 0,
    }
    assert is_proved(order)


def test_a_refund_pending_at_the_dispute_does_not_debit_the_seller_twice(order):
    refund = refund_of(order)
    deliver_dispute(payment_of(order), "lost")

    deliver_refund(refund)

    assert balances_of(order) == {"psp_clearing": 18_00, "recoverable": -18_00}
    assert set(seller_shares(order.pk).values()) == {0}
    assert is_proved(order)


def test_the_review_of_an_excess_closes_when_the_refund_is_returned(order):
    refund = refund_of(order)
    deliver_dispute(payment_of(order), "lost")
    deliver_refund(refund)

    deliver_refund(refund, status="failed")

    assert balances_of(order) == {}
    assert set(ReviewItem.objects.filter(closed_at=None).values_list("kind", flat=True)) == {"refund_returned"}


@pytest.mark.parametrize("late", ["opened", "challenged"])
def test_an_end_is_not_undone_by_an_older_update(order, late):
    deliver_dispute(payment_of(order), "lost")

    assert deliver_dispute(payment_of(order), late).json() == {"result": "skipped: stale"}
    assert Dispute.objects.get().status == "lost"


def dispute_at_the_provider(sandbox, order, **payload) -> Dispute:
    remote = sandbox.control(
        "disputes", payment_id=payment_of(order).provider_key, amount=18_00, silent=True, **payload
    )
    deliver_dispute(payment_of(order), payload.get("status", "dispute_opened")[8:], dispute_id=remote["dispute_id"])
    return Dispute.objects.get()


@pytest.mark.parametrize(("first", "then"), [("lost", "won"), ("won", "lost")])
def test_an_end_becomes_the_other_only_after_a_refresh(sandbox, order, first, then):
    dispute = dispute_at_the_provider(sandbox, order, status=f"dispute_{first}")
    deliver_dispute(payment_of(order), then, dispute_id=dispute.hyperswitch_dispute_id)
    dispute.refresh_from_db()
    assert dispute.status == first

    sandbox.control(f"disputes/{dispute.hyperswitch_dispute_id}", status=f"dispute_{then}", silent=True)
    reconcile.run(cause=reconcile.by_reconciler())

    dispute.refresh_from_db()
    assert dispute.status == then
    assert balances_of(order) == ({} if then == "lost" else PAID)
    assert is_proved(order)


def test_a_contradicting_update_is_dropped_when_a_refresh_denies_it(sandbox, order):
    dispute = dispute_at_the_provider(sandbox, order, status="dispute_lost")
    deliver_dispute(payment_of(order), "won", dispute_id=dispute.hyperswitch_dispute_id)

    reconcile.run(cause=reconcile.by_reconciler())

    assert Dispute.objects.get().status == "lost"


def test_an_open_dispute_is_refreshed_every_day(sandbox, order):
    dispute = dispute_at_the_provider(sandbox, order)
    sandbox.control(f"disputes/{dispute.hyperswitch_dispute_id}", status="dispute_won", silent=True)
    Dispute.objects.update(next_attempt_at="2026-01-01T00:00:00Z")

    reconcile.run(cause=reconcile.by_reconciler())

    assert standing(order) == ("completed", {"active"})


def test_an_inquiry_that_becomes_a_dispute_is_found_by_a_refresh(sandbox, order):
    remote = sandbox.control(
        "disputes", payment_id=payment_of(order).provider_key, amount=18_00, stage="pre_dispute", silent=True
    )
    deliver_dispute(payment_of(order), "opened", dispute_id=remote["dispute_id"], dispute_stage="pre_dispute")
    sandbox.control(f"disputes/{remote['dispute_id']}", stage="dispute", silent=True)
    Dispute.objects.update(next_attempt_at="2026-01-01T00:00:00Z")

    reconcile.run(cause=reconcile.by_reconciler())

    assert standing(order) == ("completed", {"suspended"})


def during_the_call(monkeypatch, happens) -> None:
    """Run something after Hyperswitch has answered and before its answer reaches Veza."""
    read_dispute = hyperswitch_api.read_dispute

    def read_slowly(dispute_id: str):
        answer = read_dispute(dispute_id)
        happens()
        return answer

    monkeypatch.setattr(hyperswitch_api, "read_dispute", read_slowly)


def test_a_refresh_does_not_undo_a_webhook_that_arrived_meanwhile(sandbox, order, monkeypatch):
    dispute = dispute_at_the_provider(sandbox, order)
    ids = {"dispute_id": dispute.hyperswitch_dispute_id}
    during_the_call(monkeypatch, lambda: deliver_dispute(payment_of(order), "lost", **ids))

    reconcile.refresh_dispute(dispute.pk, cause=reconcile.by_reconciler())

    dispute.refresh_from_db()
    assert (dispute.status, dispute.next_attempt_at <= timezone.now()) == ("lost", True)
    assert (balances_of(order), is_proved(order)) == ({}, True)


def test_a_contradicting_webhook_during_a_refresh_makes_it_due_again(sandbox, order, monkeypatch):
    dispute = dispute_at_the_provider(sandbox, order, status="dispute_lost")
    ids = {"dispute_id": dispute.hyperswitch_dispute_id}
    during_the_call(monkeypatch, lambda: deliver_dispute(payment_of(order), "won", **ids))

    reconcile.refresh_dispute(dispute.pk, cause=reconcile.by_reconciler())

    dispute.refresh_from_db()
    assert (dispute.status, dispute.next_attempt_at <= timezone.now()) == ("lost", True)


def test_a_refusal_does_not_postpone_what_a_webhook_made_due_meanwhile(sandbox, order, monkeypatch):
    dispute = dispute_at_the_provider(sandbox, order, status="dispute_lost")
    sandbox.fault("status", "^/disputes/", method="GET", when="before", status=404)
    ids = {"dispute_id": dispute.hyperswitch_dispute_id}
    during_the_call(monkeypatch, lambda: deliver_dispute(payment_of(order), "won", **ids))

    reconcile.refresh_dispute(dispute.pk, cause=reconcile.by_reconciler())

    dispute.refresh_from_db()
    assert dispute.next_attempt_at <= timezone.now()


def test_an_unanswered_dispute_is_refreshed_again_within_minutes(sandbox, order):
    dispute = dispute_at_the_provider(sandbox, order)
    sandbox.fault("status", "^/disputes/", method="GET", when="before", status=503)

    reconcile.refresh_dispute(dispute.pk, cause=reconcile.by_reconciler())

    dispute.refresh_from_db()
    assert timezone.now() < dispute.next_attempt_at < timezone.now() + timedelta(minutes=15)


def test_a_due_dispute_does_not_wait_for_the_hour(sandbox, order):
    dispute = dispute_at_the_provider(sandbox, order)
    sandbox.control(f"disputes/{dispute.hyperswitch_dispute_id}", status="dispute_won", silent=True)
    Dispute.objects.update(next_attempt_at=timezone.now())

    tasks.resend()

    dispute.refresh_from_db()
    assert dispute.status == "won"
    assert dispute.next_attempt_at > timezone.now() + timedelta(hours=23)


@pytest.mark.parametrize(
    ("status", "days_old", "again"),
    [("won", 538, True), ("won", 540, False), ("opened", 540, True), ("challenged", 900, True)],
)
def test_an_ended_dispute_is_refreshed_for_540_days_an_open_one_for_ever(sandbox, order, status, days_old, again):
    dispute_at_the_provider(sandbox, order, status=f"dispute_{status}")
    Dispute.objects.update(created_at=timezone.now() - timedelta(days=days_old), next_attempt_at=timezone.now())

    reconcile.run(cause=reconcile.by_reconciler())

    assert (Dispute.objects.get().next_attempt_at is not None) == again
    assert not reconcile.due_disputes().exists()


def test_an_old_end_that_an_update_contradicts_is_refreshed(sandbox, order):
    dispute = dispute_at_the_provider(sandbox, order, status="dispute_won")
    Dispute.objects.update(created_at=timezone.now() - timedelta(days=200), next_attempt_at=None)
    deliver_dispute(payment_of(order), "lost", dispute_id=dispute.hyperswitch_dispute_id)
    sandbox.control(f"disputes/{dispute.hyperswitch_dispute_id}", status="dispute_lost", silent=True)

    tasks.resend()

    assert Dispute.objects.get().status == "lost"


@pytest.mark.parametrize("stage", ["pre_arbitration", "arbitration", "dispute_reversal"])
def test_a_later_stage_of_a_dispute_holds_the_money_as_a_dispute_does(order, stage):
    deliver_dispute(payment_of(order), "opened", dispute_stage=stage)

    assert (Dispute.objects.get().stage, standing(order)) == (stage, ("completed", {"suspended"}))
    assert balances_of(order) == {"psp_clearing": -18_00, "dispute_suspense": 18_00}
    assert is_proved(order)


@pytest.mark.parametrize("stage", ["pre_arbitration", "arbitration", "dispute_reversal"])
def test_a_dispute_that_enters_a_later_stage_is_booked_once(sandbox, order, stage):
    dispute = dispute_at_the_provider(sandbox, order)
    sandbox.control(f"disputes/{dispute.hyperswitch_dispute_id}", stage=stage, silent=True)

    reconcile.refresh_dispute(dispute.pk, cause=reconcile.by_reconciler())

    dispute.refresh_from_db()
    assert (dispute.stage, dispute.posting_batches, is_proved(order)) == (stage, 1, True)


@pytest.mark.parametrize(("first", "then"), [(0, 6_00), (6_00, 0), (6_00, 9_00)])
def test_a_dispute_whose_amount_changes_is_posted_again(order, first, then):
    payment = payment_of(order)
    for amount in (first, then):
        snapshot = dispute_object(payment=payment, amount_minor=amount, status="dispute_opened")
        apply_dispute(parse_dispute(snapshot), cause=RECONCILE, at=timezone.now(), is_answer=True)

    assert balances_of(order).get("dispute_suspense", 0) == then
    assert (payment_of(order).disputed_minor, is_proved(order)) == (then, True)


def test_a_dispute_whose_currency_changes_is_booked_again_in_the_new_one(order):
    deliver_dispute(payment_of(order), "opened", amount_minor=6_00)

    answer = deliver_dispute(payment_of(order), "lost", amount_minor=6_00, currency="USD")

    assert (answer.status_code, Dispute.objects.get().status) == (200, "lost")
    assert (Dispute.objects.get().allocation_currency, is_proved(order)) == ("USD", True)


@pytest.mark.parametrize(("first", "then"), list(itertools.permutations(DisputeStatus.values, 2)))
def test_every_pair_of_statuses_leaves_books_that_balance(sandbox, order, first, then):
    dispute = dispute_at_the_provider(sandbox, order, status=f"dispute_{first}")
    sandbox.control(f"disputes/{dispute.hyperswitch_dispute_id}", status=f"dispute_{then}", silent=True)

    reconcile.refresh_dispute(dispute.pk, cause=reconcile.by_reconciler())

    dispute.refresh_from_db()
    assert (dispute.status, is_proved(order)) == (then, True)
    assert (balances_of(order) == {}) == (then in DISPUTE_LOST)


def test_there_is_an_edge_between_any_two_statuses():
    assert all(set(ends) == set(DisputeStatus) - {start} for start, ends in DISPUTE_MOVES.items())


def test_an_exclusive_license_that_was_sold_again_is_not_restored(sandbox, order):
    offer = OfferFactory(license="exclusive")
    first = paid(order_of(offer))
    sandbox.pay(payment_of(first).provider_key)
    refund = refund_of(first)
    deliver_refund(refund)
    paid(order_of(offer))

    assert deliver_refund(refund, status="failed").status_code == 200

    assert License.objects.get(order=first).status == "revoked"
    assert ReviewItem.objects.filter(kind="license_not_restored").count() == 1


def test_a_refresh_that_brings_nothing_new_says_so(sandbox, order):
    dispute = dispute_at_the_provider(sandbox, order)

    assert reconcile.refresh_dispute(dispute.pk, cause=reconcile.by_reconciler()) == "nothing new"


def test_no_answer_does_not_postpone_what_a_webhook_made_due_meanwhile(sandbox, order, monkeypatch):
    dispute = dispute_at_the_provider(sandbox, order, status="dispute_lost")
    sandbox.fault("status", "^/disputes/", method="GET", when="before", status=500)
    ids = {"dispute_id": dispute.hyperswitch_dispute_id}
    during_the_call(monkeypatch, lambda: deliver_dispute(payment_of(order), "won", **ids))

    reconcile.refresh_dispute(dispute.pk, cause=reconcile.by_reconciler())

    dispute.refresh_from_db()
    assert dispute.next_attempt_at <= timezone.now()


def test_support_refresh_a_dispute_that_has_ended(sandbox, order):
    dispute_at_the_provider(sandbox, order, status="dispute_won")
    dispute = Dispute.objects.get()
    sandbox.control(f"disputes/{dispute.hyperswitch_dispute_id}", status="dispute_lost", silent=True)

    answer = RefreshDispute().perform(dispute, cause=reconcile.by_reconciler(), params=ActionRequest(support()))

    assert answer == "Refreshed 1 item. The dispute went from won to lost."
