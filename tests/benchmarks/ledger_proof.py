"""A ledger of a million postings, proved, by hand: POSTINGS=1000000 pytest tests/benchmarks/ledger_proof.py -s

One story (paid, sent, refunded in part, taken back) is told once through the code and copied in the database until
there are enough. It prints how long the proof took and how much memory at most.
"""

import os
import re
import resource
import subprocess
import sys
import time

import pytest
from django.db import connection

from connect.models import ConnectedAccount, SellerTransfer, TransferReversal
from connect.reversals.reversal_requests import process_due
from connect.transfers.transfer_requests import send_due
from marketplace.models import Order, OrderItem, RefundLine
from payments.models import Payment, Posting, Refund
from tests.buying import deliver_refund, paid, refund_of, two_sellers_order
from tests.operators.production import database_url
from veza.core.models import StatusChange

pytestmark = pytest.mark.django_db(transaction=True)
POSTINGS = int(os.environ.get("POSTINGS", "100000"))
TABLES = (Order, OrderItem, Payment, Refund, RefundLine, SellerTransfer, TransferReversal, Posting, StatusChange)
COPY = """
INSERT INTO {table}
SELECT copied.* FROM {table} AS told, generate_series(1, %s) AS n,
LATERAL jsonb_populate_record(NULL::{table}, {text}::jsonb) AS copied
"""


def copy_stories(times: int) -> None:
    """Copy every row of the one story `times` times, each with ids of its own."""
    own = [str(pk) for model in TABLES for pk in model.objects.values_list("pk", flat=True)]
    own += re.findall(r"'((?:trr?|pay|ref)_[^']+)'", str([list(model.objects.values()) for model in TABLES]))
    text = "to_jsonb(told)::text"
    for one in sorted(set(own)):
        new = f"md5('{one}' || n)::uuid::text" if "_" not in one else f"'{one[:4]}' || left(md5('{one}' || n), 26)"
        text = f"replace({text}, '{one}', {new})"
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0; SET session_replication_role = replica")
        for model in TABLES:
            cursor.execute(COPY.format(table=model._meta.db_table, text=text), [times])
        cursor.execute("SET session_replication_role = origin; ANALYZE")


def test_a_million_postings_are_proved_in_bounded_memory(sandbox):
    order = paid(two_sellers_order())
    for transfer in order.transfers.all():
        account = sandbox.create_account()
        ConnectedAccount.objects.create(seller=transfer.seller, stripe_account_id=account, transfers_active=True)
    send_due()
    assert deliver_refund(refund_of(order, amount_minor=6_00)).status_code == 200
    process_due()
    told = Posting.objects.count()
    started = time.perf_counter()
    copy_stories(POSTINGS // told)
    print(f"\n{Posting.objects.count()} postings made in {time.perf_counter() - started:.0f} s ({told} a story)")

    started = time.perf_counter()
    line = [sys.executable, "manage.py", "verify_ledger", "--json"]
    done = subprocess.run(
        line, env={**os.environ, "DATABASE_URL": database_url()}, capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - started

    most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"{done.stdout.strip()} {done.stderr[-300:]}")
    print(f"proved in {seconds:.0f} s, {Posting.objects.count() / seconds:.0f} postings/s, at most {most:.0f} MB")
    assert done.returncode == 0
