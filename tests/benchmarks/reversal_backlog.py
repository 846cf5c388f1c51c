"""A backlog of due reversals and several workers, by hand: pytest tests/benchmarks/reversal_backlog.py -s

    REVERSALS=10000 WORKERS=4 RATE=80 LATENCY=0.2 pytest tests/benchmarks/reversal_backlog.py -s

Each worker is a process of its own, as a Celery worker is. It prints how many a second they took back together, and
asserts that Stripe was asked for each exactly once.
"""

import os
import subprocess
import sys
import time
from collections import Counter

import pytest
from django.db import connection, transaction
from django.db.models.functions import Now

from connect.models import SellerTransfer
from connect.proof import prove_order
from tests.connect.factories import BY_TEST, make_order, make_seller
from tests.sandbox.process import STRIPE_KEY
from veza.core.states import move

pytestmark = pytest.mark.django_db(transaction=True)
REVERSALS = int(os.environ.get("REVERSALS", "2000"))
WORKERS = int(os.environ.get("WORKERS", "4"))
RATE = int(os.environ.get("RATE", "80"))
LATENCY = float(os.environ.get("LATENCY", "0"))


def run(sandbox, command: str, *, rate: int) -> float:
    """All workers until nothing is due; the seconds it took."""
    database = connection.settings_dict
    url = f"postgres://{database['USER']}@{database['HOST']}:{database['PORT']}/{database['NAME']}"
    said = {"DATABASE_URL": url, "STRIPE_SECRET_KEY": STRIPE_KEY, "STRIPE_BASE_URL": sandbox.url, "LOG_LEVEL": "ERROR"}
    started = time.perf_counter()
    while SellerTransfer.objects.due().exists():
        line = [sys.executable, "manage.py", command, "--json"]
        environment = {**os.environ, **said, "STRIPE_RATE": str(rate)}
        workers = [subprocess.Popen(line, env=environment, stdout=subprocess.DEVNULL) for _ in range(WORKERS)]
        assert [worker.wait(120) for worker in workers] == [0] * WORKERS
    return time.perf_counter() - started


def test_a_backlog_of_reversals_drains_at_the_rate_we_are_allowed(sandbox):
    seller = make_seller(stripe_account_id=sandbox.create_account())
    order = make_order((seller, REVERSALS * 1_00))
    SellerTransfer.objects.bulk_create(
        SellerTransfer(order=order, seller=seller, seq=seq, amount_minor=1_00, currency="EUR", next_retry_at=Now())
        for seq in range(1, REVERSALS + 1)
    )
    seconds = run(sandbox, "retry_transfers", rate=10_000)
    print(f"\n{REVERSALS} transfers sent by {WORKERS} workers without a limit: {REVERSALS / seconds:.0f}/s")
    assert not SellerTransfer.objects.exclude(status="completed").exists()
    SellerTransfer.objects.update(reversal_target_minor=1_00)
    owed = list(SellerTransfer.objects.all())

    with transaction.atomic():
        move(owed, "reversal_pending", cause=BY_TEST, next_retry_at=Now())
    if LATENCY:
        sandbox.fault("latency", "/reversals$", method="POST", seconds=LATENCY, times=0)

    seconds = run(sandbox, "process_reversals", rate=RATE)

    print(f"{REVERSALS} reversals by {WORKERS} workers, {RATE}/s allowed: {REVERSALS / seconds:.0f}/s, {seconds:.0f} s")
    calls = [one for one in sandbox.calls() if one["path"].endswith("/reversals") and one["method"] == "POST"]
    assert set(Counter(one["idempotency_key"] for one in calls).values()) == {1}
    assert len(calls) == REVERSALS
    assert set(SellerTransfer.objects.values_list("status", flat=True)) == {"reversed"}
    assert [term for term in prove_order(order.pk)[:200] if not term.holds] == []
