"""A backlog of due transfers, then of due reversals, and several workers, by hand:

    REVERSALS=10000 FLEET=4 RATE=80 LATENCY=0.1 pytest tests/benchmarks/reversal_backlog.py -s

The workers are Celery's, of one process each, with beat as their clock; the first one that meets the backlog calls the
others. It prints how many a second they sent and took back together, from the first call to the last, and asserts that
Stripe was asked for each exactly once and never more often than allowed.
"""

import os
import time
from collections import Counter
from datetime import datetime

import pytest
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from connect.models import SellerTransfer
from connect.transfers.transfer_requests import plan_transfers
from marketplace.models import Order
from tests.connect.factories import BY_TEST, make_order, make_seller
from tests.connect.proving import faults_of
from tests.operators.fleet import workers
from veza.core.models import Heartbeat
from veza.core.states import move

pytestmark = pytest.mark.django_db(transaction=True)
REVERSALS = int(os.environ.get("REVERSALS", "2000"))
FLEET = int(os.environ.get("FLEET", "4"))
RATE = int(os.environ.get("RATE", "80"))
LATENCY = float(os.environ.get("LATENCY", "0"))
INTERVAL = os.environ.get("INTERVAL", "1m")
SELLERS_OF_AN_ORDER = 5
SECONDS = 900


def drained(sandbox, tmp_path, *, sweep: str, path: str, rate: int) -> str:
    """Let the workers run until nothing is due; what came of it, in one line."""
    enabled = {
        "TRANSFER_RETRY_ENABLED": str(sweep == "connect.send_transfers"),
        "REVERSAL_WORKER_ENABLED": str(sweep == "connect.process_reversals"),
        "TRANSFER_RETRY_CHECK_INTERVAL": INTERVAL,
        "REVERSAL_CHECK_INTERVAL": INTERVAL,
    }
    folder = tmp_path / sweep
    folder.mkdir()
    with workers(sandbox, folder, FLEET, STRIPE_RATE=str(rate), **enabled):
        deadline = time.monotonic() + SECONDS
        while SellerTransfer.objects.exclude(next_retry_at=None).exists():
            assert time.monotonic() < deadline, f"still due after {SECONDS} s"
            time.sleep(0.5)
    calls = [one for one in sandbox.calls() if one["method"] == "POST" and one["path"].endswith(path)]
    assert set(Counter(one["idempotency_key"] for one in calls).values()) == {1}
    assert (len(calls), Heartbeat.objects.get(name=sweep).failed) == (REVERSALS, 0)
    moments = sorted(datetime.fromisoformat(one["at"]) for one in calls)
    busiest = max(Counter(moment.replace(microsecond=0) for moment in moments).values())
    seconds = (moments[-1] - moments[0]).total_seconds()
    # A second of the wall clock may hold the last call of the one before; a call may be late by its way to the sandbox.
    assert busiest <= rate * 1.25
    return f"{(len(calls) - 1) / seconds:.1f}/s for {seconds:.0f} s, {busiest} in the busiest second"


def due_transfers(sandbox) -> None:
    sellers = [make_seller(stripe_account_id=sandbox.create_account()) for _ in range(SELLERS_OF_AN_ORDER * 10)]
    for number in range(REVERSALS // SELLERS_OF_AN_ORDER):
        first = number * SELLERS_OF_AN_ORDER % len(sellers)
        order = make_order(*((seller, 1_00) for seller in sellers[first : first + SELLERS_OF_AN_ORDER]))
        with transaction.atomic():
            plan_transfers(order, cause=BY_TEST, at=timezone.now())


def make_all_reversals_due() -> None:
    SellerTransfer.objects.update(reversal_target_minor=F("amount_minor"))
    with transaction.atomic():
        move(list(SellerTransfer.objects.all()), "reversal_pending", cause=BY_TEST, next_retry_at=Now())


def test_a_backlog_of_reversals_drains_at_the_rate_we_are_allowed(sandbox, tmp_path):
    due_transfers(sandbox)
    if LATENCY:
        sandbox.fault("latency", "^/v1/transfers", method="POST", seconds=LATENCY, times=0)
    print(f"\n{REVERSALS} rows, {FLEET} workers, a tick each {INTERVAL}, {RATE}/s allowed, {LATENCY} s latency")

    sent = drained(sandbox, tmp_path, sweep="connect.send_transfers", path="/v1/transfers", rate=RATE)
    print(f"transfers sent:     {sent}")
    assert not SellerTransfer.objects.exclude(status="completed").exists()
    make_all_reversals_due()
    back = drained(sandbox, tmp_path, sweep="connect.process_reversals", path="/reversals", rate=RATE)
    print(f"reversals made:     {back}")

    assert set(SellerTransfer.objects.values_list("status", flat=True)) == {"reversed"}
    some = Order.objects.order_by("pk")[:20]
    assert faults_of(*(order.pk for order in some)) == []
