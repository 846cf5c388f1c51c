"""Hourly sums of postings: the dashboard reads a few hundred sums and never the ledger."""

import time
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Sum
from django.db.models.functions import Now, TruncDay, TruncHour
from django.utils import timezone

from payments.ledger.chart_of_accounts import BANK, PLATFORM_FEE, PSP_CLEARING
from veza.backoffice.models import FlowHour, FlowMark
from veza.core.models import Heartbeat

# A posting's id is made before its commit. The database limits how long a transaction lives: newer ids are left out.
SETTLED_AFTER = timedelta(minutes=2)
# As many postings as one statement adds up well within its timeout.
BATCH = 100_000
_MARK = "postings"

_ADD = """
WITH next AS (
    SELECT id, at, currency, kind, debit_id, credit_id, amount_minor FROM payments_posting
    WHERE id > %(after)s AND id < %(before)s ORDER BY id LIMIT %(limit)s
), summed AS (
    INSERT INTO backoffice_flowhour (hour_at, currency, kind, debit, credit, amount_minor, postings)
    SELECT date_trunc('hour', at), currency, kind,
        split_part(debit_id, ':', 1), split_part(credit_id, ':', 1), sum(amount_minor), count(*)
    FROM next GROUP BY 1, 2, 3, 4, 5
    ON CONFLICT (hour_at, currency, kind, debit, credit) DO UPDATE
    SET amount_minor = backoffice_flowhour.amount_minor + EXCLUDED.amount_minor,
        postings = backoffice_flowhour.postings + EXCLUDED.postings
)
SELECT id, (SELECT count(*) FROM next) FROM next ORDER BY id DESC LIMIT 1
"""


def add_up() -> int:
    """Add every settled posting that is in no sum yet to its hour; returns how many there were."""
    total = 0
    while count := _add_batch():
        total += count
    Heartbeat.objects.update_or_create(
        name="backoffice.add_up", defaults={"beat_at": Now(), "done": total, "failed": 0}
    )
    return total


@transaction.atomic
def _add_batch() -> int:
    """One batch and the mark behind it, in one commit: every posting is in exactly one sum exactly once."""
    FlowMark.objects.get_or_create(name=_MARK, defaults={"last_id": UUID(int=0), "at": Now()})
    mark = FlowMark.objects.select_for_update().get(name=_MARK)
    upto = time.time() - SETTLED_AFTER.total_seconds()
    before = UUID(int=int(upto * 1000) << 80)
    with connection.cursor() as cursor:
        cursor.execute(_ADD, {"after": mark.last_id, "before": before, "limit": BATCH})
        row = cursor.fetchone()
    last, count = row or (mark.last_id, 0)
    as_of = datetime.fromtimestamp(upto, tz=timezone.get_current_timezone())
    FlowMark.objects.filter(name=_MARK).update(last_id=last, at=as_of)
    return int(count)


@dataclass
class Flow:
    """The money that moved in one span of time, in minor units of one currency."""

    received_minor: int = 0
    refunded_minor: int = 0
    transferred_minor: int = 0
    fee_minor: int = 0

    def add(self, kind: str, debit: str, credit: str, amount_minor: int) -> None:
        match kind:
            case "received" if debit == PSP_CLEARING:
                self.received_minor += amount_minor
            case "refund":
                for account in (PSP_CLEARING, BANK):
                    self.refunded_minor += amount_minor * _direction(account, debit=debit, credit=credit)
            case "transfer":
                self.transferred_minor += amount_minor
            case "reversal":
                self.transferred_minor -= amount_minor
        self.fee_minor += amount_minor * _direction(PLATFORM_FEE, debit=debit, credit=credit)


def _direction(account: str, *, debit: str, credit: str) -> int:
    """1 into the account, -1 out of the account, 0 for other accounts."""
    return int(credit == account) - int(debit == account)


@dataclass(frozen=True)
class Flows:
    """One currency's money: the last 24 hours and the last 30 days, each as a whole and in steps."""

    currency: str
    day: Flow
    month: Flow
    hours: list[tuple[datetime, Flow]]
    days: list[tuple[datetime, Flow]]


def recent_flows(at: datetime) -> list[Flows]:
    """Each currency in which anything moved within 30 days."""
    this_hour = at.replace(minute=0, second=0, microsecond=0)
    days = [this_hour.replace(hour=0) - timedelta(days=ago) for ago in range(29, -1, -1)]
    hours = [this_hour - timedelta(hours=ago) for ago in range(23, -1, -1)]
    by_day, by_hour = _sums(TruncDay("hour_at"), days), _sums(TruncHour("hour_at"), hours)
    return [
        Flows(
            code, _whole(by_hour[code]), _whole(by_day[code]), list(by_hour[code].items()), list(by_day[code].items())
        )
        for code in sorted(by_day)
    ]


def added_up_to() -> datetime | None:
    """How new the newest sum may be: None if there is none."""
    return FlowMark.objects.filter(name=_MARK).values_list("at", flat=True).first()


def _sums(step: TruncDay | TruncHour, steps: list[datetime]) -> dict[str, dict[datetime, Flow]]:
    """For each currency the flow of each step, empty ones included."""
    rows = FlowHour.objects.filter(hour_at__gte=steps[0]).annotate(step=step)
    totals = rows.values("step", "currency", "kind", "debit", "credit").annotate(total=Sum("amount_minor"))
    sums: dict[str, dict[datetime, Flow]] = defaultdict(lambda: {each: Flow() for each in steps})
    for row in totals.order_by():
        if row["step"] in sums[row["currency"]]:
            sums[row["currency"]][row["step"]].add(row["kind"], row["debit"], row["credit"], row["total"])
    return sums


def _whole(steps: dict[datetime, Flow]) -> Flow:
    whole = Flow()
    for each in steps.values():
        whole.received_minor += each.received_minor
        whole.refunded_minor += each.refunded_minor
        whole.transferred_minor += each.transferred_minor
        whole.fee_minor += each.fee_minor
    return whole
