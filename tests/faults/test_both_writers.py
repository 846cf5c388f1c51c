"""Whatever happens to an order, the write set leaves the rows that one plain statement for each would have left."""

import itertools
import random
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.apps import apps
from django.db import transaction
from django.utils import timezone

from connect.reversals.reversal_requests import process_due
from connect.transfers.transfer_requests import send_due
from payments.models import Refund
from tests.buying import deliver_dispute, deliver_payment, deliver_refund, order_of, payment_of, refund_of, support
from tests.connect.factories import make_seller
from tests.factories import OfferFactory, ProductFactory
from tests.reference_writer import reference_writer
from veza.core.errors import NotAllowed
from veza.core.models import User

pytestmark = pytest.mark.django_db
FLOORS = ("core", "payments", "marketplace", "connect")
BEGIN = datetime(2026, 1, 1, microsecond=123, tzinfo=UTC)
STEPS = ["fail", "pay", "pay", "refund", "refund", "return", "dispute", "win", "lose", "send", "reverse"]


@pytest.fixture
def order(sandbox, settings):
    sellers = (make_seller(stripe_account_id=sandbox.create_account()) for _ in range(2))
    offers = [OfferFactory(product=ProductFactory(seller=seller), price_minor=10_00) for seller in sellers]
    order = order_of(*offers)
    support()
    settings.HYPERSWITCH_ENABLED = False  # It would remember the first telling of the story.
    return order


def take(step: str, order: Any, number: random.Random) -> None:
    """One thing that happens; what is not allowed just now does not happen."""
    payment, refund = payment_of(order), Refund.objects.order_by("pk").last()
    if step == "fail" or step == "pay":
        deliver_payment(payment, status={"fail": "failed", "pay": "succeeded"}[step])
    elif step == "refund" and payment.received_minor:
        try:
            staff = User.objects.get(is_staff=True)
            deliver_refund(refund_of(order, requested_by=staff, amount_minor=number.randint(1, 12_00)))
        except NotAllowed:
            return
    elif step == "return" and refund is not None:
        deliver_refund(refund, status="failed")
    elif step in ("dispute", "win", "lose"):
        status = {"dispute": "opened", "win": "won", "lose": "lost"}[step]
        deliver_dispute(payment, status, amount_minor=number.randint(1, 24_00))
    elif step == "send":
        send_due()
    elif step == "reverse":
        process_due()


def every_row() -> dict[str, list[dict[str, Any]]]:
    """All rows by table, but for times that were taken from the database's clock: those only are there or not."""
    models = [model for floor in FLOORS for model in apps.get_app_config(floor).get_models()]
    return {
        model._meta.db_table: sorted(
            ({name: _comparable(name, value) for name, value in row.items()} for row in model._base_manager.values()),
            key=str,
        )
        for model in models
    }


def _comparable(name: str, value: Any) -> Any:
    is_of_database = isinstance(value, datetime) and value.microsecond != BEGIN.microsecond
    return "a time" if is_of_database or name == "milliseconds" else value


@pytest.fixture
def same_each_time(monkeypatch) -> Iterator[Any]:
    """Begin again with the same ids and the same clock."""

    def begin(seed: int) -> random.Random:
        number, ticks = random.Random(seed), itertools.count()
        monkeypatch.setattr("veza.core.ids.secrets", SimpleNamespace(randbits=number.getrandbits))
        nanoseconds = int(datetime.now(UTC).timestamp() // 3600 * 3600) * 10**9
        monkeypatch.setattr("veza.core.ids.time", SimpleNamespace(time_ns=lambda: nanoseconds + next(ticks) * 10**6))
        start = datetime.now(UTC).replace(minute=0, second=0, microsecond=BEGIN.microsecond)
        monkeypatch.setattr(timezone, "now", lambda: start + timedelta(seconds=next(ticks)))
        return random.Random(seed)

    return begin


@pytest.mark.parametrize("seed", range(4))
def test_both_writers_leave_the_same_rows(order, sandbox, same_each_time, seed):
    story = ["pay", *random.Random(seed).choices(STEPS, k=7)]
    results = []

    for writer in (nullcontext(), reference_writer()):
        savepoint, number = transaction.savepoint(), same_each_time(seed)
        with writer:
            for step in story:
                take(step, order, number)
        results.append(every_row())
        transaction.savepoint_rollback(savepoint)

    differences = [
        (table, ours, plain)
        for table, rows in results[0].items()
        for ours, plain in itertools.zip_longest(rows, results[1][table])
        if ours != plain
    ]
    assert not differences, story
