"""A debt that no seller will pay becomes our loss, once, and is not recovered any more."""

import pytest

from connect.debts.write_offs import NothingToWriteOff, write_off
from connect.reporting.balance import balances_of
from connect.reversals.reversal_requests import open_reversal, reverse_transfer
from payments.ledger.chart_of_accounts import DISPUTE_LOSS
from payments.ledger.postings import balances
from tests.connect.builders import debt_of, fresh, send
from tests.connect.factories import BY_TEST, completed, planned, refund
from tests.connect.proving import faults_of
from tests.connect.stripe_double import accepts_transfer, refuses
from veza.core.causes import Cause
from veza.core.models import ReviewItem

pytestmark = pytest.mark.django_db
BY_FINANCE = Cause("staff", actor="finance@staff.example", reason="They closed their shop.")


@pytest.fixture
def debt(stripe, seller):
    return debt_of(stripe, seller, 4_00)


def differing(transfer) -> list:
    return faults_of(transfer.order_id)


def loss(transfer) -> int:
    return -balances(correlation_id=transfer.order_id).get((DISPUTE_LOSS, "EUR"), 0)


def test_what_is_written_off_is_our_loss_and_no_debt_any_more(debt, seller):
    assert write_off(transfer_id=debt.pk, cause=BY_FINANCE) == 4_00

    row, (balance,) = fresh(debt), balances_of(seller.pk)
    assert (row.status, row.outstanding_minor, row.written_off_minor) == ("completed", 0, 4_00)
    assert (balance.debt_minor, balance.debts) == (0, [])
    assert (loss(debt), differing(debt)) == (4_00, [])


def test_the_review_item_names_who_wrote_it_off_and_why(debt):
    write_off(transfer_id=debt.pk, cause=BY_FINANCE)

    item = ReviewItem.objects.get(kind="debt_written_off")
    assert (item.closed_by, item.note, item.amount_minor) == (BY_FINANCE.actor, BY_FINANCE.reason, 4_00)


def test_a_failed_reversal_is_written_off_under_its_own_review_item(stripe, seller):
    transfer = completed()
    refund(transfer.order, transfer.seller, 9_00)
    stripe.will("create_reversal", refuses("resource_missing", status=404))
    reverse_transfer(transfer.pk, cause=BY_TEST)

    write_off(transfer_id=transfer.pk, cause=BY_FINANCE)

    assert ReviewItem.objects.get().kind == "reversal_failed"
    assert (fresh(transfer).status, fresh(transfer).written_off_minor) == ("completed", 9_00)


def test_nothing_is_withheld_for_it_from_a_later_sale(stripe, debt, seller):
    write_off(transfer_id=debt.pk, cause=BY_FINANCE)
    stripe.will("create_transfer", accepts_transfer())

    assert send(planned(seller, amount_minor=9_00)).withheld_minor == 0


def test_only_the_rest_that_later_sales_did_not_pay_is_written_off(stripe, debt, seller):
    send(planned(seller, amount_minor=1_00))

    assert write_off(transfer_id=debt.pk, cause=BY_FINANCE) == 3_00
    assert (fresh(debt).offset_minor, loss(debt), differing(debt)) == (4_00, 3_00, [])


@pytest.mark.parametrize("twice", [True, False])
def test_what_is_not_owed_is_not_written_off(debt, twice):
    row = debt if twice else completed()
    if twice:
        write_off(transfer_id=debt.pk, cause=BY_FINANCE)

    with pytest.raises(NothingToWriteOff):
        write_off(transfer_id=row.pk, cause=BY_FINANCE)


def test_nothing_is_written_off_while_a_reversal_is_under_way(debt):
    open_reversal(debt.pk, cause=BY_TEST)

    with pytest.raises(NothingToWriteOff):
        write_off(transfer_id=debt.pk, cause=BY_FINANCE)
    assert loss(debt) == 0
