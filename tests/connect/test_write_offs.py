"""A debt that no seller will pay becomes our loss, once, and nobody asks for it again."""

import pytest

from connect.debts.write_offs import NothingToWriteOff, write_off
from connect.models import SellerTransfer
from connect.reporting.balance import balances_of
from connect.reversals.reversal_requests import open_reversal, reverse_transfer
from payments.ledger.chart_of_accounts import DISPUTE_LOSS
from payments.ledger.postings import balances
from payments.models import Refund
from tests.connect.conftest import refused, sent
from tests.connect.factories import BY_TEST, completed, make_seller, planned, refund
from tests.connect.proving import faults_of
from tests.connect.test_set_off import debt_of, fresh, send
from tests.connect.test_settle import bounce
from veza.core.causes import Cause
from veza.core.models import ReviewItem

pytestmark = pytest.mark.django_db
BY_FINANCE = Cause("staff", actor="finance@staff.example", reason="They closed their shop.")


@pytest.fixture
def seller():
    return make_seller()


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
    assert (row.status, row.owed_minor, row.written_off_minor) == ("completed", 0, 4_00)
    assert (balance.debt_minor, balance.debts) == (0, [])
    assert (loss(debt), differing(debt)) == (4_00, [])


def test_the_case_tells_who_wrote_it_off_and_why(debt):
    write_off(transfer_id=debt.pk, cause=BY_FINANCE)

    case = ReviewItem.objects.get(kind="debt_written_off")
    assert (case.closed_by, case.note, case.amount_minor) == (BY_FINANCE.actor, BY_FINANCE.reason, 4_00)


def test_a_reversal_that_was_given_up_is_written_off_under_its_own_case(stripe, seller):
    transfer = completed()
    refund(transfer.order, transfer.seller, 9_00)
    stripe.will("create_reversal", refused("resource_missing", status=404))
    reverse_transfer(transfer.pk, cause=BY_TEST)

    write_off(transfer_id=transfer.pk, cause=BY_FINANCE)

    assert ReviewItem.objects.get().kind == "reversal_failed"
    assert (fresh(transfer).status, fresh(transfer).written_off_minor) == ("completed", 9_00)


def test_a_later_sale_is_not_kept_back_for_it(stripe, debt, seller):
    write_off(transfer_id=debt.pk, cause=BY_FINANCE)
    stripe.will("create_transfer", sent())

    assert send(planned(seller, amount_minor=9_00)).set_off_minor == 0


def test_only_the_rest_that_later_sales_did_not_pay_is_written_off(stripe, debt, seller):
    send(planned(seller, amount_minor=1_00))

    assert write_off(transfer_id=debt.pk, cause=BY_FINANCE) == 3_00
    assert (fresh(debt).covered_minor, loss(debt), differing(debt)) == (4_00, 3_00, [])


def test_a_refund_that_bounces_afterwards_pays_the_seller_what_the_ledger_says(stripe, debt, seller):
    write_off(transfer_id=debt.pk, cause=BY_FINANCE)

    bounce(Refund.objects.get(), debt)

    assert sum(row.amount_minor for row in SellerTransfer.objects.filter(status="pending")) == 4_00
    assert differing(debt) == []


@pytest.mark.parametrize("twice", [True, False])
def test_what_is_not_owed_is_not_written_off(debt, twice):
    row = debt if twice else completed()
    if twice:
        write_off(transfer_id=debt.pk, cause=BY_FINANCE)

    with pytest.raises(NothingToWriteOff):
        write_off(transfer_id=row.pk, cause=BY_FINANCE)


def test_nothing_is_written_off_while_stripe_is_asked_for_it(debt):
    open_reversal(debt.pk, cause=BY_TEST)

    with pytest.raises(NothingToWriteOff):
        write_off(transfer_id=debt.pk, cause=BY_FINANCE)
    assert loss(debt) == 0
