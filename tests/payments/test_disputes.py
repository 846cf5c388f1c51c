"""A payer's bank asks for the money back: held, lost, restored, never taken from a seller twice."""

import itertools
from datetime import timedelta

import pytest
from django.utils import timezone

from connect.models import SellerTransfer
from connect.settlement.reconcile_seller import net_paid
from marketplace.allocation import is_disputed, seller_shares
from marketplace.models import License
from payments import tasks
from payments.hyperswitch import client as hyperswitch_api
from payments.ledger.postings import balances
from payments.models import Dispute
from payments.reconciliation import refresh as reconcile
from payments.refunds.refund_requests import RefundExceedsPayment
from payments.states import DISPUTE_LOST, DISPUTE_MOVES, DisputeStatus
from tests.buying import deliver_dispute, deliver_refund, order_of, paid, payment_of, refund_of, two_sellers_order
from tests.factories import OfferFactory
from veza.backoffice.proof import prove_payment
from veza.core.models import ReviewItem

pytestmark = pytest.mark.django_db


@pytest.fixture
def order(sandbox):
    order = paid(two_sellers_order())
    sandbox.pay(payment_of(order).provider_key)
    return order


def standing(order) -> tuple:
    order.refresh_from_db()
    statuses = set(License.objects.filter(order=order).values_list("status", flat=True))
    return order.status, statuses


def in_the_books(order) -> dict[str, int]:
    """What each account holds, sellers as one."""
    sums: dict[str, int] = {}
    for (account, _), amount in balances(correlation_id=order.pk).items():
        name = account.partition(":")[0]
        sums[name] = sums.get(name, 0) + amount
    return {name: amount for name, amount in sums.items() if amount}


PAID = {"psp_clearing": -18_00, "seller": 13_50, "platform_fee": 1_50, "tax": 3_00}


def proved(order) -> bool:
    return prove_payment(payment_of(order)).differences == []


def test_an_open_dispute_holds_the_money_and_suspends_the_licenses(order):
    deliver_dispute(payment_of(order), "opened")

    assert standing(order) == ("completed", {"suspended"})
    assert in_the_books(order) == {"psp_clearing": -18_00, "dispute_suspense": 18_00}
    assert is_disputed(order.pk)
    assert proved(order)


def test_nothing_can_be_refunded_while_the_bank_asks_for_all_of_it(order):
    deliver_dispute(payment_of(order), "opened")

    with pytest.raises(RefundExceedsPayment):
        refund_of(order)


def test_an_open_dispute_asks_a_person_for_an_answer(order):
    deliver_dispute(payment_of(order), "opened")
    case = ReviewItem.objects.get()
    assert (case.kind, case.amount_minor) == ("dispute_to_answer", 18_00)
    assert "20 Oct 2026" in case.what_to_do

    deliver_dispute(payment_of(order), "challenged")

    case.refresh_from_db()
    assert case.closed_by == "veza"


@pytest.mark.parametrize("end", ["lost", "accepted", "expired"])
def test_a_dispute_that_ends_against_us_takes_the_sellers_share_back_once(order, end):
    deliver_dispute(payment_of(order), "opened")

    for _ in range(2):
        deliver_dispute(payment_of(order), end)

    assert standing(order) == ("refunded", {"revoked"})
    assert in_the_books(order) == {}
    assert set(seller_shares(order.pk).values()) == {0}
    assert sum(net_paid(row) for row in SellerTransfer.objects.all()) == 0
    assert proved(order)


@pytest.mark.parametrize("end", ["won", "cancelled"])
def test_a_dispute_that_ends_for_us_restores_everything(order, end):
    deliver_dispute(payment_of(order), "opened")

    deliver_dispute(payment_of(order), end)

    assert standing(order) == ("completed", {"active"})
    assert in_the_books(order) == PAID
    assert not is_disputed(order.pk)
    assert proved(order)


def test_a_part_in_dispute_is_taken_from_everybody_in_proportion(order):
    deliver_dispute(payment_of(order), "lost", amount_minor=6_00)

    assert in_the_books(order) == {"psp_clearing": -12_00, "seller": 9_00, "platform_fee": 1_00, "tax": 2_00}
    assert sum(net_paid(row) for row in SellerTransfer.objects.all()) == 9_00
    assert proved(order)


def test_what_the_bank_takes_beyond_the_payment_is_to_be_recovered(order):
    deliver_dispute(payment_of(order), "lost", amount_minor=20_00)

    assert in_the_books(order) == {"psp_clearing": 2_00, "recoverable": -2_00}
    assert ReviewItem.objects.get(closed_at=None).kind == "dispute_exceeds_payment"
    assert proved(order)


def test_a_question_before_a_dispute_is_a_flag_and_takes_nothing(order):
    deliver_dispute(payment_of(order), "opened", dispute_stage="pre_dispute")

    assert Dispute.objects.get().stage == "pre_dispute"
    assert standing(order) == ("completed", {"active"})
    assert in_the_books(order) == PAID


def test_a_dispute_in_another_currency_is_taken_from_nobodys_share(order):
    deliver_dispute(payment_of(order), "lost", amount_minor=20_00, currency="USD")

    assert balances(correlation_id=order.pk, currency="USD") == {
        ("recoverable", "USD"): -20_00,
        ("psp_clearing", "USD"): 20_00,
        ("dispute_suspense", "USD"): 0,
    }
    assert proved(order)


def test_a_refund_in_flight_when_the_dispute_opens_does_not_debit_the_seller_twice(order):
    refund = refund_of(order)
    deliver_dispute(payment_of(order), "lost")

    deliver_refund(refund)

    assert in_the_books(order) == {"psp_clearing": 18_00, "recoverable": -18_00}
    assert set(seller_shares(order.pk).values()) == {0}
    assert proved(order)


def test_the_case_of_an_excess_closes_when_the_refund_bounces(order):
    refund = refund_of(order)
    deliver_dispute(payment_of(order), "lost")
    deliver_refund(refund)

    deliver_refund(refund, status="failed")

    assert in_the_books(order) == {}
    assert set(ReviewItem.objects.filter(closed_at=None).values_list("kind", flat=True)) == {"refund_returned"}


@pytest.mark.parametrize("late", ["opened", "challenged"])
def test_an_end_is_not_undone_by_older_news(order, late):
    deliver_dispute(payment_of(order), "lost")

    assert deliver_dispute(payment_of(order), late).json() == {"result": "skipped: stale"}
    assert Dispute.objects.get().status == "lost"


def dispute_at_the_provider(sandbox, order, **payload) -> Dispute:
    given = sandbox.control("disputes", payment_id=payment_of(order).provider_key, amount=18_00, silent=True, **payload)
    deliver_dispute(payment_of(order), payload.get("status", "dispute_opened")[8:], dispute_id=given["dispute_id"])
    return Dispute.objects.get()


@pytest.mark.parametrize(("first", "then"), [("lost", "won"), ("won", "lost")])
def test_an_end_becomes_the_other_only_when_the_provider_says_so(sandbox, order, first, then):
    dispute = dispute_at_the_provider(sandbox, order, status=f"dispute_{first}")
    deliver_dispute(payment_of(order), then, dispute_id=dispute.hyperswitch_dispute_id)
    dispute.refresh_from_db()
    assert dispute.status == first

    sandbox.control(f"disputes/{dispute.hyperswitch_dispute_id}", status=f"dispute_{then}", silent=True)
    reconcile.run(cause=reconcile.by_reconciler())

    dispute.refresh_from_db()
    assert dispute.status == then
    assert in_the_books(order) == ({} if then == "lost" else PAID)
    assert proved(order)


def test_contradicting_news_is_dropped_when_the_provider_stands_by_its_word(sandbox, order):
    dispute = dispute_at_the_provider(sandbox, order, status="dispute_lost")
    deliver_dispute(payment_of(order), "won", dispute_id=dispute.hyperswitch_dispute_id)

    reconcile.run(cause=reconcile.by_reconciler())

    assert Dispute.objects.get().status == "lost"


def test_an_open_dispute_is_read_every_day(sandbox, order):
    dispute = dispute_at_the_provider(sandbox, order)
    sandbox.control(f"disputes/{dispute.hyperswitch_dispute_id}", status="dispute_won", silent=True)
    Dispute.objects.update(next_attempt_at="2026-01-01T00:00:00Z")

    reconcile.run(cause=reconcile.by_reconciler())

    assert standing(order) == ("completed", {"active"})


def test_a_stage_that_turns_a_question_into_a_dispute_is_found_by_reading(sandbox, order):
    given = sandbox.control(
        "disputes", payment_id=payment_of(order).provider_key, amount=18_00, stage="pre_dispute", silent=True
    )
    deliver_dispute(payment_of(order), "opened", dispute_id=given["dispute_id"], dispute_stage="pre_dispute")
    sandbox.control(f"disputes/{given['dispute_id']}", stage="dispute", silent=True)
    Dispute.objects.update(next_attempt_at="2026-01-01T00:00:00Z")

    reconcile.run(cause=reconcile.by_reconciler())

    assert standing(order) == ("completed", {"suspended"})


def meanwhile(monkeypatch, happens) -> None:
    """Let something happen after the provider has answered and before its answer reaches us."""
    read = hyperswitch_api.read_dispute

    def slowly(dispute_id: str):
        answer = read(dispute_id)
        happens()
        return answer

    monkeypatch.setattr(hyperswitch_api, "read_dispute", slowly)


def test_an_answer_does_not_undo_what_a_webhook_said_while_we_asked(sandbox, order, monkeypatch):
    dispute = dispute_at_the_provider(sandbox, order)
    known_as = {"dispute_id": dispute.hyperswitch_dispute_id}
    meanwhile(monkeypatch, lambda: deliver_dispute(payment_of(order), "lost", **known_as))

    reconcile.refresh_dispute(dispute.pk, cause=reconcile.by_reconciler())

    dispute.refresh_from_db()
    assert (dispute.status, dispute.next_attempt_at <= timezone.now()) == ("lost", True)
    assert (in_the_books(order), proved(order)) == ({}, True)


def test_contradicting_news_while_we_asked_make_us_ask_again(sandbox, order, monkeypatch):
    dispute = dispute_at_the_provider(sandbox, order, status="dispute_lost")
    known_as = {"dispute_id": dispute.hyperswitch_dispute_id}
    meanwhile(monkeypatch, lambda: deliver_dispute(payment_of(order), "won", **known_as))

    reconcile.refresh_dispute(dispute.pk, cause=reconcile.by_reconciler())

    dispute.refresh_from_db()
    assert (dispute.status, dispute.next_attempt_at <= timezone.now()) == ("lost", True)


def test_a_refusal_does_not_put_off_what_news_made_due_while_we_asked(sandbox, order, monkeypatch):
    dispute = dispute_at_the_provider(sandbox, order, status="dispute_lost")
    sandbox.fault("status", "^/disputes/", method="GET", when="before", status=404)
    known_as = {"dispute_id": dispute.hyperswitch_dispute_id}
    meanwhile(monkeypatch, lambda: deliver_dispute(payment_of(order), "won", **known_as))

    reconcile.refresh_dispute(dispute.pk, cause=reconcile.by_reconciler())

    dispute.refresh_from_db()
    assert dispute.next_attempt_at <= timezone.now()


def test_a_dispute_is_asked_about_again_within_minutes_when_there_was_no_answer(sandbox, order):
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
    [("won", 178, True), ("won", 180, False), ("opened", 180, True), ("challenged", 900, True)],
)
def test_an_ended_dispute_is_looked_after_for_180_days_and_an_open_one_for_ever(
    sandbox, order, status, days_old, again
):
    dispute_at_the_provider(sandbox, order, status=f"dispute_{status}")
    Dispute.objects.update(created_at=timezone.now() - timedelta(days=days_old), next_attempt_at=timezone.now())

    reconcile.run(cause=reconcile.by_reconciler())

    assert (Dispute.objects.get().next_attempt_at is not None) == again
    assert not reconcile.due_disputes().exists()


def test_an_old_end_that_news_contradict_is_asked_about(sandbox, order):
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
    assert in_the_books(order) == {"psp_clearing": -18_00, "dispute_suspense": 18_00}
    assert proved(order)


@pytest.mark.parametrize("stage", ["pre_arbitration", "arbitration", "dispute_reversal"])
def test_a_dispute_that_enters_a_later_stage_is_booked_once(sandbox, order, stage):
    dispute = dispute_at_the_provider(sandbox, order)
    sandbox.control(f"disputes/{dispute.hyperswitch_dispute_id}", stage=stage, silent=True)

    reconcile.refresh_dispute(dispute.pk, cause=reconcile.by_reconciler())

    dispute.refresh_from_db()
    assert (dispute.stage, dispute.posting_batches, proved(order)) == (stage, 1, True)


@pytest.mark.parametrize(("first", "then"), list(itertools.permutations(DisputeStatus.values, 2)))
def test_every_pair_of_statuses_leaves_books_that_prove(sandbox, order, first, then):
    dispute = dispute_at_the_provider(sandbox, order, status=f"dispute_{first}")
    sandbox.control(f"disputes/{dispute.hyperswitch_dispute_id}", status=f"dispute_{then}", silent=True)

    reconcile.refresh_dispute(dispute.pk, cause=reconcile.by_reconciler())

    dispute.refresh_from_db()
    assert (dispute.status, proved(order)) == (then, True)
    assert (in_the_books(order) == {}) == (then in DISPUTE_LOST)


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
