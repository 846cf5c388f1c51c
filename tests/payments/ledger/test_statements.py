"""What only a statement shows is booked line by line, once, however often the file is read."""

import io
import json

import pytest
from django.core.management import CommandError, call_command

from payments.ledger.postings import balances
from payments.models import Posting

pytestmark = pytest.mark.django_db
HEAD = "line,kind,amount_minor,currency,date\n"
GOOD = HEAD + "po-1,top_up,500000,EUR,2026-11-20\nfee-1,fee,1250,eur,2026-11-20\n"


@pytest.fixture
def book(tmp_path):
    """Write a statement and book it; the counts from the command's JSON."""

    def run(text: str, *options: str) -> dict:
        file, out = tmp_path / "statement.csv", io.StringIO()
        file.write_text(text)
        call_command("book_statement", str(file), "--json", *options, stdout=out, stderr=io.StringIO())
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
