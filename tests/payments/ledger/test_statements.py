"""What only a statement shows is booked line by line, once, however often the file is read."""

import io
import json
import sys

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from payments.ledger.postings import balances
from payments.ledger.statement_kinds import STATEMENT_KINDS
from payments.models import Posting
from tests.database_roles import as_owner
from veza.backoffice.account_proof import account_faults

pytestmark = pytest.mark.django_db
HEAD = "line,kind,amount_minor,currency,date\n"
GOOD = HEAD + "po-1,top_up,500000,EUR,2026-11-20\nfee-1,fee,1250,eur,2026-11-20\n"


@pytest.fixture
def book(tmp_path):
    """Write a statement and book it; the counts from the command's JSON."""

    def run(text: str, *options: str) -> dict:
        file, out = tmp_path / "statement.csv", io.StringIO()
        file.write_text(text)
        call_command("book_statement", str(file), "--json", *options, stdout=out, stderr=sys.stderr)
        return json.loads(out.getvalue())

    return run


def test_a_top_up_and_a_fee_are_booked_on_their_day(book):
    assert book(GOOD) == {"booked": 2, "known": 0, "wrong": 0, "dry_run": False}

    assert balances() == {
        ("stripe_balance", "EUR"): -5_000_00,
        ("psp_fees", "EUR"): -12_50,
        ("psp_clearing", "EUR"): 5_012_50,
    }
    assert {f"{posting.at:%F}" for posting in Posting.objects.all()} == {"2026-11-20"}


def test_reading_a_statement_again_books_nothing(book):
    book(GOOD)

    assert book(GOOD) == {"booked": 0, "known": 2, "wrong": 0, "dry_run": False}
    assert Posting.objects.count() == 2


def test_a_dry_run_counts_what_it_would_book_and_books_nothing(book):
    assert book(GOOD, "--dry-run") == {"booked": 2, "known": 0, "wrong": 0, "dry_run": True}
    assert Posting.objects.count() == 0


@pytest.mark.parametrize(
    ("line", "payload"),
    [
        ("po-1,top_up,499999,EUR,2026-11-20", "booked before, and differently"),
        ("x,refund,100,EUR,2026-11-20", "kind is 'refund'"),
        ("x,fee,-5,EUR,2026-11-20", "a positive number"),
        ("x,fee,1.50,EUR,2026-11-20", "amount_minor is '1.50'"),
        ("x,fee,0,EUR,2026-11-20", "a positive number"),
        ("x,fee,100,EURO,2026-11-20", "'EURO' is not a currency"),
        ("x,fee,100,EUR,20.11.2026", "date is '20.11.2026'"),
        (",fee,100,EUR,2026-11-20", "a name of 1 to 100 characters"),
    ],
)
def test_an_invalid_line_is_reported_and_the_others_are_booked(book, tmp_path, line, payload):
    book(GOOD)
    (tmp_path / "statement.csv").write_text(f"{HEAD}{line}\nfee-2,fee,5,EUR,2026-11-21\n")
    err = io.StringIO()

    with pytest.raises(CommandError, match="Not booked: 1 invalid line"):
        call_command("book_statement", str(tmp_path / "statement.csv"), stdout=io.StringIO(), stderr=err)

    assert "row 2" in err.getvalue()
    assert payload in err.getvalue()
    assert Posting.objects.count() == 3


@pytest.mark.parametrize(("text", "payload"), [("line,kind\nx,fee\n", "lacks the columns"), (None, "cannot be read")])
def test_a_file_that_is_not_a_statement_is_refused(tmp_path, text, payload):
    file = tmp_path / "other.csv"
    if text is not None:
        file.write_text(text)

    with pytest.raises(CommandError, match=payload):
        call_command("book_statement", str(file))


DETAILED = HEAD.replace("date", "date,account,corrects,reason")
# From which account to which each kind moves money, as an accountant expects it.
MOVES = {
    "settlement": ("psp_clearing", "bank"),
    "top_up": ("psp_clearing", "stripe_balance"),
    "bank_top_up": ("bank", "stripe_balance"),
    "stripe_payout": ("stripe_balance", "bank"),
    "fee": ("psp_clearing", "psp_fees"),
    "dispute_fee": ("psp_clearing", "dispute_fees"),
    "dispute_fee_return": ("dispute_fees", "psp_clearing"),
    "stripe_fee": ("stripe_balance", "stripe_fees"),
    "tax_remitted": ("bank", "tax"),
    "reserve_held": ("psp_clearing", "reserve"),
    "reserve_released": ("reserve", "psp_clearing"),
    "collection": ("stripe_balance", "dispute_loss"),
    "collection_return": ("dispute_loss", "stripe_balance"),
    "difference": ("bank", "differences"),
}


def test_every_kind_is_booked_between_its_accounts_and_corrected_once(book):
    assert {*MOVES} == {*STATEMENT_KINDS}
    for kind, (source, target) in MOVES.items():
        details = "bank,,The bank's charge." if kind == "difference" else ",,"
        book(f"{DETAILED}{kind},{kind},100,EUR,2026-11-20,{details}\n")
        moved = {code: amount for (code, _currency), amount in balances().items() if amount}
        assert moved == {source: 100, target: -100}, kind
        account = "bank" if kind == "difference" else ""
        book(f"{DETAILED}{kind}-back,{kind},100,EUR,2026-11-21,{account},{kind},Booked twice.\n")
        assert not any(balances().values()), kind
    assert [fault.text for fault in account_faults()] == []


def test_a_difference_in_our_favour_is_negative(book):
    book(f"{DETAILED}d,difference,-7,EUR,2026-11-20,psp_clearing,,Found in the provider's report.\n")

    assert balances() == {("psp_clearing", "EUR"): -7, ("differences", "EUR"): 7}
    assert [fault.text for fault in account_faults()] == []


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("x,fee,1250,EUR,2026-11-20,,po-9,Twice.", "corrects 'po-9', which is no line"),
        ("x,fee,1251,EUR,2026-11-20,,fee-1,Twice.", "has to repeat the kind and amount of 'fee-1'"),
        ("x,fee,1250,EUR,2026-11-20,,fee-1,", "needs a reason"),
        ("x,fee,1250,EUR,2026-11-20,bank,,", "account is 'bank', and may be empty"),
        ("x,difference,5,EUR,2026-11-20,tax,,Why.", "account is 'tax', and may be psp_clearing"),
        ("x,difference,5,EUR,2026-11-20,bank,,", "needs a reason"),
        ("x,difference,0,EUR,2026-11-20,bank,,Why.", "a positive number"),
        ("x,fee,1250,EUR,2026-11-20,,back,Twice.", "corrects 'back', which is no line"),
        ("x,fee,1250,EUR,2026-11-20,,fee-1,Twice.", "'fee-1' was corrected before"),
    ],
)
def test_a_detail_that_cannot_be_is_reported_and_books_nothing(book, capsys, line, why):
    book(GOOD)
    book(f"{DETAILED}back,fee,1250,EUR,2026-11-21,,fee-1,Booked twice.\n")
    before = balances()

    with pytest.raises(CommandError):
        book(f"{DETAILED}{line}\n")
    assert why in capsys.readouterr().err
    assert balances() == before


def test_a_statement_entry_without_its_posting_is_found(book):
    book(GOOD)
    with as_owner(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("UPDATE payments_posting SET debit_id = credit_id, credit_id = debit_id")

    assert len([*account_faults()]) == 4 + 2  # Both lines twice, missing and unexplained, and two accounts above zero.
