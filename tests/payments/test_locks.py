"""Each verb waits for the transaction that is changing its payment, and decides by what that left.

Every test fails without the lock, or the "twice" guard, that it is about.
"""

from functools import partial
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from marketplace.models import License
from payments.collection import expiry, payment_requests
from payments.collection.payment_requests import cancel_payment, send_payment
from payments.disputes.dispute_updates import apply_dispute
from payments.hyperswitch import client
from payments.hyperswitch.objects import parse_dispute, parse_refund
from payments.inbox import intake, retention
from payments.inbox.replay import replay
from payments.ledger.postings import open_accounts
from payments.ledger.statements import InvalidStatementLine, StatementLine, book_statement_line
from payments.models import Dispute, Payment, Posting, Refund, RevokedMandate, WebhookDelivery, WriteOff
from payments.reconciliation import refresh
from payments.refunds import overdue, refund_requests
from payments.refunds.refund_requests import RefundAlreadyRequested
from payments.reviews.automatic_refunds import retry_return_of_funds
from payments.reviews.conversions import AmountNotInDoubt, enter_converted_amount
from payments.reviews.mismatches import NotMismatched, TooLittleReceived, accept_received_amount, refund_in_full
from payments.reviews.write_offs import NothingToWriteOff, write_off_shortfall
from tests.buying import (
    ago,
    deliver,
    deliver_dispute,
    deliver_payment,
    deliver_refund,
    dispute_object,
    envelope,
    order_of,
    payment_of,
    refund_object,
    refund_of,
)
from tests.crowd import Rival, before_commit
from tests.factories import OfferFactory
from tests.payments.builders import BY_STAFF, RECONCILE, is_proved, make_deliveries_due, make_older, open_reviews
from veza.core.ids import new_id
from veza.core.models import ReviewItem
from veza.core.outcomes import Accepted, Call, Refused

pytestmark = pytest.mark.django_db(transaction=True)


def results(first: Any, rival: Rival) -> tuple[str, str]:
    """What the webhook log says of two deliveries, the second of which came during the first."""
    return first.json()["result"], rival.result().json()["result"]


# --- Payments


@pytest.fixture
def unanswered(sandbox) -> Payment:
    """A payment that Hyperswitch made, and whose answer was lost."""
    sandbox.fault("drop", "^/payments$", method="POST", when="after")
    payment = payment_of(order_of(OfferFactory()))
    assert payment.status == "created"
    return payment


def test_two_events_about_one_success_are_one_success(captured_order):
    payment = payment_of(captured_order)

    first, rival = before_commit(lambda: deliver_payment(payment), lambda: deliver_payment(payment))

    assert results(first, rival) == ("ok", "skipped: stale")
    assert is_proved(captured_order)


def test_a_failure_is_a_duplicate_once_a_copy_of_the_event_was_applied(captured_order, monkeypatch):
    payment, rivals = payment_of(captured_order), []
    apply, look = intake.apply, intake._lock_and_find

    def fail(*args: Any, **kwargs: Any) -> None:
        monkeypatch.setattr(intake, "apply", apply)
        monkeypatch.setattr(intake, "_lock_and_find", look_after_copy)
        raise RuntimeError("the first attempt fails")

    def look_after_copy(*args: Any) -> Any:
        monkeypatch.setattr(intake, "_lock_and_find", look)
        rivals.append(Rival(lambda: deliver_payment(payment, event_id="evt_1")))
        rivals[0].begin()
        rivals[0].result()
        return look(*args)

    monkeypatch.setattr(intake, "apply", fail)
    first = deliver_payment(payment, event_id="evt_1")

    assert results(first, rivals[0]) == ("skipped: duplicate", "ok")
    assert is_proved(captured_order)


def test_an_answer_waits_for_a_faster_webhook_and_fills_in_what_is_missing(unanswered):
    outcome = client.read_payment(unanswered.provider_key)

    _, rival = before_commit(
        lambda: deliver_payment(unanswered),
        lambda: payment_requests._record_outcome(unanswered.pk, outcome, cause=BY_STAFF),
    )

    unanswered.refresh_from_db()
    assert (rival.result(), unanswered.status, unanswered.payment_url != "") == (None, "succeeded", True)


def test_two_attempts_to_send_a_payment_are_counted_as_two(unanswered):
    before = unanswered.attempts

    before_commit(
        lambda: payment_requests._mark_sent(unanswered.pk), lambda: payment_requests._mark_sent(unanswered.pk)
    )

    first_sent_at = unanswered.first_sent_at
    unanswered.refresh_from_db()
    assert (unanswered.attempts, unanswered.first_sent_at) == (before + 2, first_sent_at)


def test_a_payment_that_was_cancelled_meanwhile_is_not_sent(sandbox):
    sandbox.fault("drop", "^/payments$", method="POST", when="before")
    payment = payment_of(order_of(OfferFactory()))

    _, rival = before_commit(
        lambda: cancel_payment(payment.pk, reason="abandoned", cause=BY_STAFF),
        lambda: send_payment(payment.pk, cause=BY_STAFF),
    )

    assert (rival.result(), Payment.objects.get().status) == (None, "cancelled")
    assert sum(call["path"] == "/payments" for call in sandbox.calls()) == 1


def test_a_payment_that_was_paid_meanwhile_is_not_cancelled_as_unknown(sandbox, captured_order):
    payment = payment_of(captured_order)
    sandbox.reset()  # Hyperswitch does not know the payment any more.

    _, rival = before_commit(
        lambda: deliver_payment(payment), lambda: cancel_payment(payment.pk, reason="abandoned", cause=BY_STAFF)
    )

    assert rival.result().status == "succeeded"


def test_the_page_of_a_payment_that_was_paid_meanwhile_is_not_closed(captured_order):
    payment = payment_of(captured_order)

    _, rival = before_commit(lambda: deliver_payment(payment), lambda: expiry._start_closing(payment.pk))

    assert rival.result() is False
    assert payment_of(captured_order).closing_started_at is None


def test_one_end_of_a_mandate_under_two_events_is_applied_once(sandbox):
    mandate = {"mandate_id": "man_1", "status": "revoked", "payment_method_id": "pm_1", "customer_id": "cus_1"}

    def end() -> Any:
        return deliver(envelope("mandate_revoked", mandate))

    first, rival = before_commit(end, end)

    assert results(first, rival) == ("ok", "skipped: stale")
    assert RevokedMandate.objects.count() == 1


# --- Refunds


def test_two_events_about_one_refund_are_one_refund(order):
    refund = refund_of(order)

    first, rival = before_commit(lambda: deliver_refund(refund), lambda: deliver_refund(refund))

    assert results(first, rival) == ("ok", "skipped: stale")
    assert is_proved(order)


def test_two_events_about_an_external_refund_import_it_once(order):
    payload = {"payment_id": payment_of(order).provider_key, "amount": 4_00, "currency": "EUR", "status": "succeeded"}

    def report() -> Any:
        return deliver(envelope("refund_succeeded", {"refund_id": "ref_there", **payload}))

    first, rival = before_commit(report, report)

    assert results(first, rival) == ("ok", "skipped: stale")
    assert (Refund.objects.count(), payment_of(order).refunded_minor) == (1, 4_00)


def test_a_refund_that_failed_meanwhile_is_not_sent(sandbox, order):
    refund = refund_of(order)
    before = len(sandbox.calls())

    _, rival = before_commit(
        lambda: deliver_refund(refund, status="failed"), lambda: refund_requests.send_refund(refund.pk, cause=BY_STAFF)
    )

    assert (rival.result(), len(sandbox.calls())) == (None, before)


def test_a_refusal_after_a_webhook_of_success_changes_nothing(sandbox, order):
    refund = refund_of(order)
    sandbox.reset()
    refusal = client.read_refund(refund.provider_key)

    _, rival = before_commit(
        lambda: deliver_refund(refund),
        lambda: refund_requests._record_outcome(refund.pk, refusal, is_first=False, cause=BY_STAFF),
    )

    refund.refresh_from_db()
    assert (rival.result(), refund.status) == (None, "succeeded")


def test_a_late_answer_of_a_failure_does_not_undo_a_success(order):
    refund = refund_of(order)
    deliver_refund(refund)
    failure = Accepted(parse_refund(refund_object(refund, status="failed")), Call("hyperswitch", "POST", "/", 200, 5))

    refund_requests._record_outcome(refund.pk, failure, is_first=True, cause=BY_STAFF)

    refund.refresh_from_db()
    assert (refund.status, is_proved(order)) == ("succeeded", True)


def test_an_overdue_refund_that_succeeds_meanwhile_needs_no_review(order):
    refund = refund_of(order)

    _, rival = before_commit(lambda: deliver_refund(refund), lambda: overdue._review(refund.pk))

    assert (rival.result(), open_reviews()) == (False, [])


def test_an_overdue_refund_that_succeeds_meanwhile_is_not_ended(order):
    refund = refund_of(order)
    unknown = Refused("HE_02", "Refund does not exist in our records.", Call("hyperswitch", "GET", "/", 404, 5))

    _, rival = before_commit(
        lambda: deliver_refund(refund),
        lambda: overdue._end(refund.pk, unknown, cause=BY_STAFF, at=timezone.now()),
    )

    assert (rival.result().status, is_proved(order)) == ("succeeded", True)


def test_an_orphan_that_is_acknowledged_meanwhile_does_not_fail(sandbox, order):
    sandbox.fault("drop", "^/refunds$", method="POST", when="after")
    refund = refund_of(order)
    make_older(Refund, minutes=6)

    _, rival = before_commit(
        lambda: deliver(envelope("refund_succeeded", refund_object(refund, status="pending"))),
        lambda: refund_requests.fail_orphan(refund.pk, cause=BY_STAFF, at=timezone.now()),
    )

    refund.refresh_from_db()
    assert (rival.result(), refund.status) == (False, "pending")


def test_an_orphan_fails_once(sandbox, order):
    sandbox.fault("drop", "^/refunds$", method="POST", when="before")
    refund = refund_of(order)

    def fail() -> bool:
        return refund_requests.fail_orphan(refund.pk, cause=BY_STAFF, at=timezone.now())

    first, rival = before_commit(fail, fail)

    assert (first, rival.result()) == (True, False)


# --- Disputes


def test_two_events_open_one_dispute(order):
    payment = payment_of(order)

    first, rival = before_commit(lambda: deliver_dispute(payment, "opened"), lambda: deliver_dispute(payment, "opened"))

    assert results(first, rival) == ("ok", "skipped: stale")
    assert (Dispute.objects.count(), is_proved(order)) == (1, True)


def test_a_refresh_waits_for_a_webhook_and_does_not_undo_it(sandbox, order):
    payment = payment_of(order)
    remote = sandbox.control("disputes", payment_id=payment.provider_key, amount=18_00, silent=True)
    ids = {"dispute_id": remote["dispute_id"]}
    deliver_dispute(payment, "opened", **ids)

    _, rival = before_commit(
        lambda: deliver_dispute(payment, "lost", **ids),
        lambda: refresh.refresh_dispute(Dispute.objects.get().pk, cause=RECONCILE),
    )

    assert rival.result() == refresh.SUPERSEDED
    assert Dispute.objects.get().status == "lost"


def test_a_dispute_and_a_refund_at_once_take_the_money_once(order):
    refund = refund_of(order)

    before_commit(lambda: deliver_refund(refund), lambda: deliver_dispute(payment_of(order), "opened"))

    assert open_reviews() == [("dispute_exceeds_payment", 18_00), ("dispute_to_answer", 18_00)]
    assert is_proved(order)


# --- Reviews


@pytest.fixture
def mismatched(sandbox, pending_order) -> Payment:
    """15.00 received for 12.00."""
    payment = payment_of(pending_order)
    sandbox.control(f"payments/{payment.provider_key}", status="succeeded", amount_received=15_00, silent=True)
    deliver_payment(payment, amount_received=15_00)
    return payment_of(pending_order)


def accept(payment: Payment) -> Payment:
    return accept_received_amount(payment_id=payment.pk, cause=BY_STAFF)


def test_what_is_refunded_in_full_meanwhile_is_not_accepted(mismatched):
    _, rival = before_commit(
        lambda: refund_in_full(payment_id=mismatched.pk, cause=BY_STAFF), lambda: accept(mismatched)
    )

    assert isinstance(rival.result(), TooLittleReceived)
    assert (License.objects.count(), Refund.objects.get().amount_minor) == (0, 15_00)


def test_what_is_accepted_meanwhile_is_not_refunded_in_full(mismatched):
    _, rival = before_commit(
        lambda: accept(mismatched), lambda: refund_in_full(payment_id=mismatched.pk, cause=BY_STAFF)
    )

    assert isinstance(rival.result(), NotMismatched)
    assert (License.objects.count(), Refund.objects.get().amount_minor) == (1, 3_00)


def test_an_external_refund_under_way_counts_as_gone_for_an_acceptance(mismatched):
    payload = {"payment_id": mismatched.provider_key, "amount": 4_00, "currency": "EUR", "status": "pending"}

    _, rival = before_commit(
        lambda: deliver(envelope("refund_succeeded", {"refund_id": "ref_there", **payload})),
        lambda: accept(mismatched),
    )

    assert isinstance(rival.result(), TooLittleReceived)
    assert License.objects.count() == 0


def test_an_acceptance_waits_for_the_rest_that_arrives(mismatched):
    _, rival = before_commit(lambda: deliver_payment(mismatched, status="cancelled"), lambda: accept(mismatched))

    assert rival.waited


def test_two_people_who_retry_a_return_of_funds_open_one_refund(mismatched):
    accept(mismatched)
    deliver_refund(Refund.objects.get(), status="failed")

    def retry() -> Refund:
        return retry_return_of_funds(refund_id=new_id(), payment_id=mismatched.pk, reason="The bank is back.")

    _, rival = before_commit(retry, retry)

    assert isinstance(rival.result(), RefundAlreadyRequested)
    assert Refund.objects.count() == 2


def test_the_same_retry_twice_is_one_refund(mismatched):
    accept(mismatched)
    deliver_refund(Refund.objects.get(), status="failed")
    retry = partial(retry_return_of_funds, refund_id=new_id(), payment_id=mismatched.pk, reason="The bank is back.")

    first, rival = before_commit(retry, retry)

    assert rival.result() == first


def test_the_amount_of_a_refund_that_was_returned_meanwhile_is_not_entered(order):
    payload = {"refund_id": "ref_there", "payment_id": payment_of(order).provider_key}
    payload |= {"amount": 19_50, "currency": "USD", "updated_at": ago(hours=1)}
    deliver(envelope("refund_succeeded", payload | {"status": "succeeded"}))

    _, rival = before_commit(
        lambda: deliver(envelope("refund_failed", payload | {"status": "failed", "updated_at": ago()})),
        lambda: enter_converted_amount(Refund.objects.get(), amount_minor=18_00, cause=BY_STAFF),
    )

    assert isinstance(rival.result(), AmountNotInDoubt)
    assert is_proved(order)


def test_a_shortfall_is_written_off_by_one_of_two(order):
    deliver_dispute(payment_of(order), "lost", amount_minor=20_00)

    def write_off() -> int:
        return write_off_shortfall(Dispute.objects.get(), cause=BY_STAFF)

    first, rival = before_commit(write_off, write_off)

    assert (first, isinstance(rival.result(), NothingToWriteOff)) == (2_00, True)
    assert WriteOff.objects.count() == 1


def test_a_write_off_waits_for_a_bank_that_returns_the_money(order):
    deliver_dispute(payment_of(order), "lost", amount_minor=20_00)
    won = parse_dispute(dispute_object(payment=payment_of(order), amount_minor=20_00, status="dispute_won"))

    def win() -> None:
        with transaction.atomic():
            apply_dispute(won, cause=BY_STAFF, at=timezone.now(), is_answer=True)

    _, rival = before_commit(win, lambda: write_off_shortfall(Dispute.objects.get(), cause=BY_STAFF))

    assert isinstance(rival.result(), NothingToWriteOff)
    assert is_proved(order)


# --- Webhooks


def test_one_event_twice_at_once_is_a_duplicate(captured_order):
    payment = payment_of(captured_order)

    def deliver_it() -> Any:
        return deliver_payment(payment, event_id="evt_1")

    first, rival = before_commit(deliver_it, deliver_it)

    assert results(first, rival) == ("ok", "skipped: duplicate")


def test_a_delivery_replayed_by_two_keeps_the_first_result(captured_order, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("marketplace.licenses.grant", lambda *args: 1 / 0)
        deliver_payment(payment_of(captured_order))
    make_deliveries_due()
    row = WebhookDelivery.objects.get(processing_result__startswith="error")

    before_commit(lambda: replay(row.pk), lambda: replay(row.pk))

    row.refresh_from_db()
    assert (row.processing_result, row.attempts) == ("ok", 2)


def test_two_unknown_events_at_once_open_one_review_item(sandbox):
    def surprise() -> Any:
        return deliver(envelope("quite_new", {}))

    before_commit(surprise, surprise)

    assert ReviewItem.objects.count() == 1


def test_cleaning_the_log_does_not_wait_for_a_delivery_that_is_replayed(sandbox):
    for _ in range(2):
        deliver(envelope("quite_new", {}))
    WebhookDelivery.objects.update(received_at="2026-01-01T00:00:00Z")
    rival = Rival(lambda: retention.clean(90))

    with transaction.atomic():
        WebhookDelivery.objects.select_for_update().order_by("pk").first()
        rival.begin()

    assert (rival.waited, rival.result()) == (False, 1)


# --- The ledger


def test_a_statements_line_that_two_read_is_booked_once():
    line = StatementLine("po-1", "top_up", 5_000_00, "EUR", timezone.now())

    first, rival = before_commit(lambda: book_statement_line(line), lambda: book_statement_line(line))

    assert (first, rival.result(), Posting.objects.count()) == (True, False, 1)


def test_a_statements_line_that_two_correct_is_corrected_once():
    facts = {"kind": "fee", "amount_minor": 1_00, "currency": "EUR", "at": timezone.now()}
    book_statement_line(StatementLine("fee-1", **facts))
    corrections = [StatementLine(name, corrects="fee-1", reason="Another month's.", **facts) for name in ("a", "b")]

    first, rival = before_commit(*(partial(book_statement_line, line) for line in corrections))

    assert (first, rival.waited, type(rival.result())) == (True, True, InvalidStatementLine)
    assert Posting.objects.count() == 2


def test_the_reconciler_passes_over_a_stuck_payment_that_is_being_changed(captured_order):
    make_older(Payment, days=1)
    Payment.objects.update(next_attempt_at=None)
    rival = Rival(lambda: refresh.run(cause=refresh.by_reconciler())["payments"].done)

    with transaction.atomic():
        Payment.objects.locked().get(pk=payment_of(captured_order).pk)
        rival.begin()

    assert (rival.waited, rival.result()) == (False, 0)


def test_an_account_that_two_open_at_once_is_one_account():
    def open_it() -> None:
        with transaction.atomic():
            open_accounts(["seller:1"])

    _, rival = before_commit(open_it, open_it)

    assert (rival.waited, rival.result()) == (True, None)
