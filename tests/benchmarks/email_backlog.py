"""A backlog of e-mails beside the money sweeps, by hand:

    EMAILS=10000 FLEET=2 LATENCY=0.05 pytest tests/benchmarks/email_backlog.py -s

The workers are Celery's, of one process each, with beat as their clock; each mail waits LATENCY seconds at the server.
It prints how many a second were sent, and the longest time between two heartbeats of each money sweep meanwhile. It
asserts that each e-mail was sent exactly once, and that no money sweep waited longer than it does behind one tick.
"""

import os
import time
from collections import Counter
from datetime import datetime
from itertools import pairwise

import pytest

from tests.buying import order_of, paid
from tests.factories import OfferFactory
from tests.operators.fleet import workers
from veza.core.email.sending import LASTING
from veza.core.models import Email, Heartbeat

pytestmark = pytest.mark.django_db(transaction=True)
EMAILS = int(os.environ.get("EMAILS", "2000"))
FLEET = int(os.environ.get("FLEET", "2"))
LATENCY = float(os.environ.get("LATENCY", "0"))
SECONDS = 1_800
MONEY = ("payments.resend", "connect.send_transfers", "connect.process_reversals")
# The sweeps' own interval here, the longest tick of e-mails with its last batch, and what a loaded machine adds.
INTERVAL_SECONDS = 15
LONGEST_WAIT = INTERVAL_SECONDS + LASTING.total_seconds() * 4 / 3 + 15


def write_backlog() -> None:
    order = paid(order_of(OfferFactory()))
    Email.objects.all().delete()
    Email.objects.bulk_create(
        (
            Email(
                message="order_receipt",
                recipient_id=order.buyer_id,
                subject="marketplace.order",
                subject_id=order.pk,
                correlation_id=order.pk,
                occasion=str(number),
            )
            for number in range(EMAILS)
        ),
        batch_size=1_000,
    )


def test_a_backlog_of_emails_drains_beside_the_money_sweeps(sandbox, tmp_path):
    write_backlog()
    if LATENCY:
        sandbox.control("mail_faults", fault="slow", seconds=LATENCY, times=EMAILS)
    interval = f"{INTERVAL_SECONDS}s"
    environ = {
        "SMTP_HOST": "127.0.0.1",
        "SMTP_PORT": str(sandbox.smtp_port),
        "SMTP_TLS": "false",
        "SMTP_FROM": "receipts@shop.example",
        "TRANSFER_RETRY_CHECK_INTERVAL": interval,
        "REVERSAL_CHECK_INTERVAL": interval,
        "RESEND_CHECK_INTERVAL": interval,
    }
    beats: dict[str, list[datetime]] = {name: [] for name in MONEY}
    begin = time.monotonic()
    with workers(sandbox, tmp_path, FLEET, **environ):
        while Email.objects.waiting().exists():
            assert time.monotonic() - begin < SECONDS, f"still waiting after {SECONDS} s"
            for name, at in Heartbeat.objects.filter(name__in=MONEY).values_list("name", "beat_at"):
                if at not in beats[name]:
                    beats[name].append(at)
            time.sleep(0.5)
    seconds = time.monotonic() - begin

    print(f"\n{EMAILS} e-mails, {FLEET} workers, {LATENCY} s latency: {EMAILS / seconds:.0f}/s over {seconds:.0f} s")
    waits = {name: longest_wait(moments) for name, moments in beats.items()}
    for name, moments in beats.items():
        print(f"{name}: {len(moments)} heartbeats, at most {waits[name]:.0f} s apart")

    sent = Counter(sandbox.message_ids())
    assert (len(sent), set(sent.values())) == (EMAILS, {1})
    assert max(waits.values()) < LONGEST_WAIT


def longest_wait(moments: list[datetime]) -> float:
    """In seconds, between two heartbeats; without two of them the sweep never came to its turn."""
    return max(((after - before).total_seconds() for before, after in pairwise(moments)), default=float("inf"))
