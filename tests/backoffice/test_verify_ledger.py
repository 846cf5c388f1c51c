"""`verify_ledger`: everything is proved, a chunk costs what one payment does, and every broken pair is named."""

import io
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.management import CommandError, call_command
from django.db import InternalError, connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from connect.debts.write_offs import write_off
from connect.models import ConnectedAccount, SellerTransfer, SetOff, TransferReversal
from connect.reversals.reversal_requests import process_due
from connect.transfers.transfer_requests import send_due
from payments.ledger.proof import Proof, Term
from payments.ledger.statements import StatementLine, book_statement_line
from payments.models import Dispute, Payment, Posting, Refund
from subscriptions.models import SubscriptionInvoice
from tests.buying import deliver_dispute, deliver_refund, paid, payment_of, refund_of, two_sellers_order
from tests.connect.factories import BY_TEST, make_seller, planned
from tests.subscriptions.subscribing import activate
from veza.backoffice import proof, verification
from veza.backoffice.management.commands import verify_ledger
from veza.backoffice.proof import prove_all, prove_many, prove_payment
from veza.core.ids import new_id

pytestmark = pytest.mark.django_db


def verify(*options):
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command("verify_ledger", *options, stdout=out, stderr=err)
    except CommandError as error:
        return error.returncode, out.getvalue(), err.getvalue()
    return 0, out.getvalue(), err.getvalue()


@pytest.fixture
def order(sandbox):
    """An order that was paid, sent to its sellers, refunded and taken back."""
    order = paid(two_sellers_order())
    for transfer in order.transfers.all():
        make_account(transfer.seller, sandbox.create_account())
    send_due()
    assert deliver_refund(refund_of(order)).status_code == 200
    process_due()
    return order


def make_account(seller, stripe_account_id):
    ConnectedAccount.objects.create(seller=seller, stripe_account_id=stripe_account_id, transfers_active=True)


def test_a_ledger_that_agrees_ends_with_0_and_the_counts(order):
    code, payload, _ = verify("--json")

    counts = json.loads(payload)
    assert (code, counts["ok"], counts["differences"]) == (0, True, 0)
    assert (counts["payments"], counts["refunds"], counts["transfers"], counts["reversals"]) == (1, 1, 2, 2)
    assert counts["postings"] == Posting.objects.count()


def test_what_moved_since_the_payment_was_read_is_no_difference(sandbox):
    order = paid(two_sellers_order())
    read_before = payment_of(order)
    deliver_refund(refund_of(order))

    assert prove_payment(read_before).differences == []


BROKEN = {
    "captured": lambda order: Payment.objects.update(received_minor=1),
    "refunded": lambda order: Refund.objects.update(amount_minor=1),
    "held by": lambda order: order.items.update(seller_minor=F("seller_minor") - 1, fee_minor=F("fee_minor") + 1),
    "sent": lambda order: SellerTransfer.objects.filter(pk=order.transfers.first().pk).update(
        amount_minor=20_00, reversed_minor=0, reversal_target_minor=0
    ),
    "reversed": lambda order: SellerTransfer.objects.filter(pk=order.transfers.first().pk).update(reversed_minor=0),
    "reversed ": lambda order: TransferReversal.objects.all().delete(),
    "0.01 EUR of it counts as covered": lambda order: SetOff.objects.create(
        transfer=planned(make_seller()), debt=order.transfers.first(), amount_minor=1, currency="EUR"
    ),
    "0.00 EUR of it counts as written off": lambda order: SellerTransfer.objects.filter(
        pk=order.transfers.first().pk
    ).update(
        offset_minor=1, written_off_minor=1, reversal_target_minor=F("reversal_target_minor") - 1, reversed_minor=0
    ),
}


@pytest.mark.parametrize("term", BROKEN)
def test_every_pair_that_differs_is_named_and_the_status_is_1(order, term):
    BROKEN[term](order)

    code, _, errors = verify()

    assert code == 1
    assert f": {term}" in errors


IN_DISPUTE = {
    ("opened", "disputed"): lambda: Payment.objects.update(disputed_minor=0),
    ("opened", "in suspense"): lambda: Dispute.objects.update(amount_minor=1),
    ("opened", "lost to disputes"): lambda: Dispute.objects.update(funds_location=Dispute.FundsLocation.BANK),
    ("lost", "disputed"): lambda: Payment.objects.update(disputed_minor=0),
    ("lost", "in suspense"): lambda: Dispute.objects.update(funds_location=Dispute.FundsLocation.SUSPENSE),
    ("lost", "lost to disputes"): lambda: Dispute.objects.update(amount_minor=1),
}


@pytest.mark.parametrize(("status", "term"), IN_DISPUTE)
def test_every_pair_of_a_dispute_that_differs_is_named(sandbox, status, term):
    order = paid(two_sellers_order())
    deliver_dispute(payment_of(order), status)
    assert verify()[0] == 0

    IN_DISPUTE[status, term]()

    code, _, errors = verify()
    assert code == 1
    assert f": {term} is " in errors


@pytest.mark.parametrize("account", ["subscription_income", "tax"])
def test_an_invoice_that_says_other_than_was_booked_is_named(sandbox, account):
    activate(sandbox)
    assert verify()[0] == 0

    SubscriptionInvoice.objects.update(net_minor=F("net_minor") - 1, tax_minor=F("tax_minor") + 1)

    code, _, errors = verify()
    assert code == 1
    assert f": held by {account} is " in errors


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("err", "is_terminal"), [(Terminal(), True), (io.StringIO(), False)])
def test_the_bar_of_progress_is_drawn_on_a_terminal_only(sandbox, monkeypatch, err, is_terminal):
    monkeypatch.setattr(verify_ledger, "PROGRESS_EVERY_SECONDS", -1)
    for _ in range(2):
        paid(two_sellers_order())

    call_command("verify_ledger", stdout=io.StringIO(), stderr=err)

    half, whole = "#" * 15 + "." * 15, "#" * 30
    bar = f"\r[{half}] 1/2 payments\r[{whole}] 2/2 payments\n"
    assert err.getvalue() == (bar if is_terminal else "")


def test_all_differences_are_counted_and_the_first_20_shown(monkeypatch):
    wrong = [Proof(new_id(), [Term("captured", minor, 0, "EUR")]) for minor in range(1, 26)]
    monkeypatch.setattr(verification, "prove_all", lambda: iter(wrong))

    code, payload, errors = verify("--json")

    assert (code, json.loads(payload)["differences"]) == (1, 25)
    assert errors.splitlines() == [str(fault) for one in wrong[:20] for fault in one.differences]


def test_what_a_statement_booked_is_no_difference(order):
    paid(two_sellers_order())
    book_statement_line(StatementLine("fee-1", "fee", 12_50, "EUR", order.completed_at))

    assert verify()[0] == 0


def test_a_debt_that_was_written_off_is_no_difference(sandbox):
    order = paid(two_sellers_order())
    for transfer in order.transfers.all():
        make_account(transfer.seller, sandbox.create_account())
    send_due()
    assert deliver_refund(refund_of(order)).status_code == 200
    debt = order.transfers.first()
    SellerTransfer.objects.filter(pk=debt.pk).update(waiting_for="debt")

    write_off(transfer_id=debt.pk, cause=BY_TEST)

    assert verify()[0] == 0


def test_many_are_proved_as_one_is(order, sandbox):
    paid(two_sellers_order())
    payments = list(Payment.objects.order_by("pk"))

    assert [each.terms for each in prove_many(payments)] == [prove_payment(one).terms for one in payments]


def test_a_chunk_costs_as_many_queries_as_one_payment(order):
    with CaptureQueriesContext(connection) as one:
        list(prove_all())
    for _ in range(3):
        paid(two_sellers_order())
    with CaptureQueriesContext(connection) as four:
        list(prove_all())

    assert len(four) == len(one)


def test_money_that_moves_between_two_chunks_is_no_difference(sandbox):
    paid(two_sellers_order())
    late = two_sellers_order()
    proofs = prove_all(chunk=1)
    first = next(proofs)

    paid(late)

    assert [each.differences for each in (first, *proofs)] == [[], []]


@pytest.mark.django_db(transaction=True)
def test_money_that_moves_while_a_chunk_is_read_is_no_difference(sandbox, monkeypatch):
    late, books_of = two_sellers_order(), proof.books_of

    def after_the_webhook(payments):
        with ThreadPoolExecutor(1) as pool:
            pool.submit(_paid_elsewhere, late).result()
        return books_of(payments)

    monkeypatch.setattr(proof, "books_of", after_the_webhook)

    assert [each.differences for each in prove_all()] == [[]]
    assert Payment.objects.get().status == "succeeded"


@pytest.mark.django_db(transaction=True)
def test_a_ledger_is_proved_without_the_right_to_write(sandbox, monkeypatch):
    paid(two_sellers_order())
    monkeypatch.setattr(proof, "books_of", lambda payments: Payment.objects.update(received_minor=1))

    with pytest.raises(InternalError, match="read-only"):
        list(prove_all())


def _paid_elsewhere(order) -> None:
    try:
        paid(order)
    finally:
        connection.close()
