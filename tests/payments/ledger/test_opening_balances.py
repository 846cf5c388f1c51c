"""Opening balances of sellers: no posting is missed, whatever commits when, and a wrong one is found by the proof."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from payments import tasks
from payments.ledger.chart_of_accounts import UNAPPLIED, seller_account
from payments.ledger.opening_balances import carry_forward, postings_of, seller_balances
from payments.ledger.postings import Line, Reference, balances, post
from payments.models import LedgerClosing, OpeningBalance, Payment, Posting
from tests.connect.factories import make_order
from tests.database_roles import as_owner
from tests.factories import SellerFactory
from tests.filling import fill_postings
from tests.operators.production import wait_until
from veza.backoffice.account_proof import account_faults
from veza.core.ids import new_id
from veza.core.models import Heartbeat

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def account() -> str:
    """The account of a seller who has earned 10.00."""
    seller = SellerFactory()
    make_order((seller, 10_00))
    wait_for_older_transactions()
    return seller_account(seller.pk)


def wait_for_older_transactions() -> None:
    """Until none is open that began before now: other tests of this run may have theirs on the same server."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_current_xact_id()::text::bigint")
        (mine,) = cursor.fetchone()

    def is_over() -> bool:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint > %s", [mine])
            return bool(cursor.fetchone()[0])

    wait_until(is_over, seconds=300)


def close_books() -> None:
    wait_for_older_transactions()
    carry_forward()


def earn(account: str, amount_minor: int) -> None:
    payment = Payment.objects.get()
    line = Line(UNAPPLIED, account, amount_minor, account)
    reference = Reference(Posting.Kind.APPLIED, new_id())
    post(reference, [line], payment=payment, currency="EUR", correlation_id=new_id(), at=timezone.now())


def balance_of(account: str) -> int:
    balance = seller_balances([account])[account, "EUR"]
    assert balance == balances(postings_of([account]))[account, "EUR"], "it is the sum of all postings"
    return balance


def opening_faults() -> list[str]:
    return [str(fault) for fault in account_faults() if "opening balance" in str(fault)]


def test_carrying_a_balance_forward_does_not_change_it(account):
    assert balance_of(account) == 10_00

    tasks.carry_forward()

    assert (balance_of(account), OpeningBalance.objects.get().amount_minor) == (10_00, 10_00)
    assert Heartbeat.objects.get(name="payments.carry_forward").done == 1


def test_what_is_posted_later_is_added_once(account):
    for _ in range(3):
        close_books()
        with transaction.atomic():
            earn(account, 1_00)

    assert balance_of(account) == 13_00
    close_books()
    assert OpeningBalance.objects.get().amount_minor == 13_00


def test_a_posting_that_commits_after_the_closing_is_not_missed(account):
    posted, closed = Event(), Event()

    def post_slowly() -> None:
        with transaction.atomic():
            earn(account, 5_00)
            posted.set()
            assert closed.wait(20)
        connection.close()

    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(post_slowly)
        assert posted.wait(20)
        with transaction.atomic():
            earn(account, 2_00)  # Younger, and committed first.
        carry_forward()
        closed.set()
        slow.result()

    assert balance_of(account) == 17_00
    close_books()
    assert balance_of(account) == OpeningBalance.objects.get().amount_minor == 17_00


def test_a_database_restored_elsewhere_sums_all_at_first(account):
    close_books()
    OpeningBalance.objects.update(amount_minor=1)
    LedgerClosing.objects.update(closed_before=F("closed_before") + 1_000_000)

    assert balance_of(account) == 10_00
    close_books()
    assert balance_of(account) == OpeningBalance.objects.get().amount_minor == 10_00


def test_a_closing_written_before_what_it_closes_is_void(account):
    close_books()
    OpeningBalance.objects.update(amount_minor=1)
    LedgerClosing.objects.update(closed_before=F("closed_before") + 200)
    with connection.cursor() as cursor:
        for _ in range(300):
            cursor.execute("SELECT pg_current_xact_id()")

    assert balance_of(account) == 10_00


def test_the_proof_finds_a_wrong_opening_balance(account):
    close_books()
    assert opening_faults() == []
    OpeningBalance.objects.update(amount_minor=9_99)

    (fault,) = opening_faults()

    assert account in fault
    call_command("carry_forward_balances", "--from-the-start", "--dry-run")
    assert opening_faults() == [fault]
    call_command("carry_forward_balances", "--from-the-start")
    assert opening_faults() == []


def test_a_balance_reads_what_was_posted_since_and_nothing_else(account):
    fill_postings([account, *(seller_account(new_id()) for _ in range(99))], 5_000)
    close_books()
    with transaction.atomic():
        earn(account, 1_00)
    with as_owner(), connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE payments_posting")

    with connection.execute_wrapper(explained := Explained()):
        seller_balances([account])

    assert "posting_credit_of_seller" in explained.plan
    assert "Seq Scan on payments_posting" not in explained.plan
    assert max(explained.rows_of("payments_posting")) <= 2


class Explained:
    """Explains each statement before it runs."""

    plan = ""

    def __call__(self, execute, sql, params, many, context):
        context["cursor"].cursor.execute("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) " + sql, params)
        self.plan += "\n".join(line for (line,) in context["cursor"].cursor.fetchall())
        return execute(sql, params, many, context)

    def rows_of(self, table: str) -> list[float]:
        lines = [line for line in self.plan.splitlines() if f"on {table}" in line and "rows=" in line]
        return [float(line.split("rows=")[1].split()[0]) for line in lines]
