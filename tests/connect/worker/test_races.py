"""Several workers on the same rows, with real connections and the sandbox's truth."""

import threading
from collections import Counter

import pytest

from connect.models import SellerTransfer
from connect.reversals.reversal_requests import process_due, reverse_transfer
from connect.transfers.transfer_requests import send_due, send_transfer
from connect.worker.retry_policy import drain
from payments.models import Posting
from tests.connect.builders import movements
from tests.connect.factories import BY_TEST, planned, refund
from tests.crowd import together

pytestmark = pytest.mark.django_db(transaction=True)


def called(sandbox, path: str) -> Counter[str]:
    calls = sandbox.calls()
    return Counter(one["idempotency_key"] for one in calls if path in one["path"] and one["method"] == "POST")


def test_workers_side_by_side_send_each_transfer_once(sandbox, seller):
    for _ in range(30):
        planned(seller)

    together(*[send_due] * 4)

    assert len(movements(sandbox, "transfer")) == 30
    assert set(called(sandbox, "/v1/transfers").values()) == {1}
    assert set(SellerTransfer.objects.values_list("status", flat=True)) == {"completed"}


def test_workers_side_by_side_reverse_each_transfer_once(sandbox, seller):
    rows = [planned(seller) for _ in range(15)]
    send_due()
    for row in rows:
        refund(row.order, seller, 9_00)

    together(*[process_due] * 4)

    assert len(movements(sandbox, "reversal")) == 15
    assert set(called(sandbox, "/reversals").values()) == {1}
    assert set(SellerTransfer.objects.values_list("status", flat=True)) == {"reversed"}


def test_four_workers_on_one_row_move_the_money_once(sandbox, seller):
    transfer = planned(seller)

    together(*[lambda: send_transfer(transfer.pk, cause=BY_TEST)] * 4)
    send_transfer(transfer.pk, cause=BY_TEST)

    transfer.refresh_from_db()
    assert (transfer.status, movements(sandbox, "transfer")) == ("completed", [9_00])
    assert Posting.objects.filter(kind="transfer", subject_id=transfer.pk).count() == 1


def test_four_workers_on_one_reversal_move_the_money_once(sandbox, seller):
    transfer = planned(seller)
    send_due()
    refund(transfer.order, seller, 9_00)

    together(*[lambda: reverse_transfer(transfer.pk, cause=BY_TEST)] * 4)
    reverse_transfer(transfer.pk, cause=BY_TEST)

    transfer.refresh_from_db()
    assert (transfer.status, movements(sandbox, "reversal")) == ("reversed", [9_00])


def test_a_refund_that_races_the_sending_ends_with_an_unpaid_seller(sandbox, seller):
    rows = [planned(seller) for _ in range(10)]

    together(send_due, lambda: [refund(row.order, seller, 9_00) for row in rows])
    send_due()
    process_due()

    assert sum(movements(sandbox, "transfer")) == sum(movements(sandbox, "reversal"))
    assert set(SellerTransfer.objects.values_list("status", flat=True)) <= {"reversed", "cancelled"}


def test_one_worker_has_several_calls_under_way_and_none_twice(sandbox, seller, settings):
    settings.STRIPE_CALLS_AT_ONCE = 4
    rows = [planned(seller) for _ in range(12)]
    together_at_stripe = threading.Barrier(4, timeout=20)

    def perform(transfer_id):
        together_at_stripe.wait()  # Breaks, and fails the row, unless four are here at once.
        return send_transfer(transfer_id, cause=BY_TEST)

    tally = drain("a test", rows=SellerTransfer.objects.unsent(), perform=perform, on_error=lambda *_: None)

    assert (tally.done, tally.failed) == (len(rows), 0)
    assert set(called(sandbox, "/v1/transfers").values()) == {1}
