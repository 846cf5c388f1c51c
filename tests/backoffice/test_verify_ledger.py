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
from payments.ledger.statements import StatementKind, StatementLine, book_statement_line
from payments.models import Dispute, Payment, Posting, Refund
from subscriptions.models import SubscriptionInvoice
from tests.buying import deliver_dispute, deliver_refund, paid, payment_of, refund_of, two_sellers_order
from tests.connect.factories import BY_TEST, make_seller, planned
from tests.subscriptions.subscribing import activate
from veza.backoffice import proof
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
def story(sandbox):
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


def test_a_ledger_that_agrees_ends_with_0_and_the_counts(story):
    code, payload, _ = verify("--json")

    told = json.loads(payload)
    assert (code, told["ok"], told["differences"]) == (0, True, 0)
    assert (told["payments"], told["refunds"], told["transfers"], told["reversals"]) == (1, 1, 2, 2)
    assert told["postings"] == Posting.objects.count()


def test_what_moved_since_the_payment_was_read_is_no_difference(sandbox):
    order = paid(two_sellers_order())
    read_before = payment_of(order)
    deliver_refund(refund_of(order))

    assert prove_payment(read_before).differences == []


BROKEN = {
    "captured": lambda story: Payment.objects.update(received_minor=1),
    "refunded": lambda story: Refund.objects.update(amount_minor=1),
    "held by": lambda story: story.items.update(seller_minor=F("seller_minor") - 1, fee_minor=F("fee_minor") + 1),
    "sent": lambda story: SellerTransfer.objects.filter(pk=story.transfers.first().pk).update(
        amount_minor=20_00, reversed_minor=0, reversal_target_minor=0
    ),
    "taken back": lambda story: SellerTransfer.objects.filter(pk=story.transfers.first().pk).update(reversed_minor=0),
    "moved at Stripe": lambda story: TransferReversal.objects.all().delete(),
    "paid by set-off": lambda story: SetOff.objects.create(
        transfer=planned(make_seller()), debt=story.transfers.first(), amount_minor=1, currency="EUR"
    ),
    "debts written off": lambda story: SellerTransfer.objects.filter(pk=story.transfers.first().pk).update(
        covered_minor=1, written_off_minor=1, reversal_target_minor=F("reversal_target_minor") - 1, reversed_minor=0
    ),
}


@pytest.mark.parametrize("term", BROKEN)
def test_every_pair_that_differs_is_named_and_the_status_is_1(story, term):
    BROKEN[term](story)

    code, _, named = verify()

    assert code == 1
    assert f": {term}" in named


IN_DISPUTE = {
    ("opened", "disputed"): lambda: Payment.objects.update(disputed_minor=0),
    ("opened", "of it in suspense"): lambda: Dispute.objects.update(amount_minor=1),
    ("opened", "of it lost"): lambda: Dispute.objects.update(held_at=Dispute.HeldAt.BANK),
    ("lost", "disputed"): lambda: Payment.objects.update(disputed_minor=0),
    ("lost", "of it in suspense"): lambda: Dispute.objects.update(held_at=Dispute.HeldAt.SUSPENSE),
    ("lost", "of it lost"): lambda: Dispute.objects.update(amount_minor=1),
}


@pytest.mark.parametrize(("status", "term"), IN_DISPUTE)
def test_every_pair_of_a_dispute_that_differs_is_named(sandbox, status, term):
    order = paid(two_sellers_order())
    deliver_dispute(payment_of(order), status)
    assert verify()[0] == 0

    IN_DISPUTE[status, term]()

    code, _, named = verify()
    assert code == 1
    assert f": {term} is " in named


@pytest.mark.parametrize("account", ["subscription_income", "tax"])
def test_an_invoice_that_says_other_than_was_booked_is_named(sandbox, account):
    activate(sandbox)
    assert verify()[0] == 0

    SubscriptionInvoice.objects.update(net_minor=F("net_minor") - 1, tax_minor=F("tax_minor") + 1)

    code, _, named = verify()
    assert code == 1
    assert f": held by {account} is " in named


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("err", "shown"), [(Terminal(), True), (io.StringIO(), False)])
def test_the_bar_of_progress_is_drawn_on_a_terminal_only(sandbox, monkeypatch, err, shown):
    monkeypatch.setattr(verify_ledger, "PROGRESS_EVERY_SECONDS", -1)
    for _ in range(2):
        paid(two_sellers_order())

    call_command("verify_ledger", stdout=io.StringIO(), stderr=err)

    half, whole = "#" * 15 + "." * 15, "#" * 30
    drawn = f"\r[{half}] 1/2 payments\r[{whole}] 2/2 payments\n"
    assert err.getvalue() == (drawn if shown else "")


def test_all_differences_are_counted_and_the_first_20_shown(monkeypatch):
    wrong = [Proof(new_id(), [Term("captured", minor, 0, "EUR")]) for minor in range(1, 26)]
    monkeypatch.setattr(verify_ledger, "prove_all", lambda: iter(wrong))

    code, payload, named = verify("--json")

    assert (code, json.loads(payload)["differences"]) == (1, 25)
    assert named.splitlines() == [line for one in wrong[:20] for line in one.differences]


def test_what_was_booked_from_a_statement_belongs_to_no_payment_and_is_no_difference(story):
    book_statement_line(StatementLine("fee-1", StatementKind.FEE, 12_50, "EUR", story.completed_at))

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


def test_a_posting_that_belongs_to_no_payment_is_named(story):
    some = Posting.objects.first()
    Posting.objects.create(
        debit=some.debit,
        credit=some.credit,
        amount_minor=1,
        currency="EUR",
        reference="x",
        leg="y",
        correlation_id=some.correlation_id,
        at=some.at,
    )

    assert verify()[0] == 1


def test_many_are_proved_as_one_is(story, sandbox):
    paid(two_sellers_order())
    payments = list(Payment.objects.order_by("pk"))

    assert [found.terms for found in prove_many(payments)] == [prove_payment(one).terms for one in payments]


def test_a_chunk_costs_as_many_queries_as_one_payment(story):
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

    assert [found.differences for found in (first, *proofs)] == [[], []]


@pytest.mark.django_db(transaction=True)
def test_money_that_moves_while_a_chunk_is_read_is_no_difference(sandbox, monkeypatch):
    late, prove_base = two_sellers_order(), proof.prove_base

    def after_the_webhook(payments):
        with ThreadPoolExecutor(1) as pool:
            pool.submit(_paid_elsewhere, late).result()
        return prove_base(payments)

    monkeypatch.setattr(proof, "prove_base", after_the_webhook)

    assert [found.differences for found in prove_all()] == [[]]
    assert Payment.objects.get().status == "succeeded"


@pytest.mark.django_db(transaction=True)
def test_a_ledger_is_proved_without_the_right_to_write(sandbox, monkeypatch):
    paid(two_sellers_order())
    monkeypatch.setattr(proof, "prove_base", lambda payments: Payment.objects.update(received_minor=1))

    with pytest.raises(InternalError, match="read-only"):
        list(prove_all())


def _paid_elsewhere(order) -> None:
    try:
        paid(order)
    finally:
        connection.close()
