"""The front page: money moved, rows that wait, failures. Every count is capped; every number links to its list."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.db import models
from django.db.models import Count, F, Min, Sum
from django.urls import reverse

from connect.models import SellerTransfer
from connect.states import TransferStatus
from payments.models import InvalidSignatureCount, Payment, Refund, WebhookDelivery
from payments.states import PaymentStatus, RefundStatus
from veza.backoffice import verification
from veza.core.admin_columns import lasting
from veza.core.email.outbox import EMAIL_FAILED
from veza.core.ids import first_id_since
from veza.core.models import Email, Heartbeat, ReviewItem, User
from veza.core.money import format_amount
from veza.core.words import count_of, format_status
from veza.schedule import intervals
from veza.status import state

COUNT_LIMIT = 1_000
DELIVERY_LIMIT = 10_000
DAY = timedelta(days=1)
# A worker that has not finished a tick for this many of its intervals is late.
LATE_AFTER_INTERVALS = 3
AT_LEAST = timedelta(minutes=5)
# Some e-mails wait on purpose, half an hour at most.
EMAIL_LATE_AFTER = timedelta(hours=1)
LONGEST = timedelta(hours=1)
# Heartbeats with another name than their task.
BEATS_OF = {
    "refunds.resend": "payments.resend",
    "disputes.resend": "payments.resend",
    "methods.resend": "payments.resend",
    "setups.resend": "payments.resend",
    "refunds.reconcile": "payments.reconcile",
    "orphans.reconcile": "payments.reconcile",
    "disputes.reconcile": "payments.reconcile",
    "connect.look_at_accounts": "connect.look_at_stripe",
    "connect.look_at_transfers": "connect.look_at_stripe",
}


@dataclass(frozen=True)
class Number:
    """One number with a link to its list. `tone` is good, plain, warn or bad."""

    label: str
    text: str
    link: str = ""
    tone: str = "plain"
    note: str = ""


@dataclass(frozen=True)
class Card:
    title: str
    numbers: list[Number]
    note: str = ""


def cards(user: User, at: datetime) -> list[Card]:
    """The cards that this user may see, the most urgent first."""
    every = (
        ("core.view_reviewitem", _reviews),
        ("payments.view_posting", _ledger),
        ("payments.view_refund", _refunds),
        ("connect.view_sellertransfer", _transfers),
        ("payments.view_webhookdelivery", _webhooks),
        ("core.view_email", _emails),
        ("core.view_heartbeat", _workers),
        ("core.view_heartbeat", _services),
    )
    return [make(at) for permission, make in every if user.has_perm(permission)]


def _reviews(at: datetime) -> Card:
    items = ReviewItem.objects.filter(closed_at__isnull=True)
    some = ReviewItem.objects.filter(pk__in=items.order_by()[:COUNT_LIMIT].values("pk")).order_by()
    kinds = some.values("kind").annotate(several=Count("pk"), oldest=Min("opened_at")).order_by("oldest")
    numbers = [
        Number(
            format_status(row["kind"]),
            str(row["several"]),
            to_list("core_reviewitem", state="open", kind=row["kind"]),
            "warn",
            f"oldest {lasting(at - row['oldest'])}",
        )
        for row in kinds
    ]
    doubt = some.exclude(currency="").values("currency").annotate(total=Sum("amount_minor")).order_by("currency")
    for row in doubt:
        if row["total"]:
            link = to_list("core_reviewitem", state="open")
            numbers.append(Number("amount in doubt", format_amount(row["total"], row["currency"]), link, "warn"))
    return Card("Needs review", numbers, "" if numbers else "No review item is open.")


def _ledger(at: datetime) -> Card:
    beat = Heartbeat.objects.filter(name=verification.WORKER).first()
    if beat is None:
        return Card("Ledger", [], "The daily proof has not run yet.")
    link = to_list("core_reviewitem", state="open", kind=verification.DIFFERS)
    note = f"proved {lasting(at - beat.beat_at)} ago: {count_of(beat.done, 'payment')}"
    return Card("Ledger", [Number("differences", str(beat.failed), link, "bad" if beat.failed else "good", note)])


def _refunds(at: datetime) -> Card:
    waiting = Refund.objects.filter(status=RefundStatus.PENDING)
    stuck = waiting.filter(pk__lt=first_id_since(settings.RECONCILE_REFUND_STUCK_AFTER))
    old = waiting.filter(pk__lt=first_id_since(DAY))
    mismatches = Payment.objects.filter(status=PaymentStatus.MISMATCHED)
    oldest = waiting.order_by("pk").values_list("created_at", flat=True).first()
    return Card(
        "Refunds and payments",
        [
            _count("refunds pending", waiting, "payments_refund", note=_oldest(at, oldest), status__exact="pending"),
            _count("… overdue", stuck, "payments_refund", "warn", stuck="yes"),
            _count("… for over 24 hours", old, "payments_refund", "bad", status__exact="pending", age="over24h"),
            _count("payments with a wrong amount", mismatches, "payments_payment", "bad", status__exact="mismatched"),
        ],
    )


def _transfers(at: datetime) -> Card:
    def of(status: str) -> "models.QuerySet[SellerTransfer]":
        return SellerTransfer.objects.filter(status=status)

    model = "connect_sellertransfer"
    retrying_link = to_list(model, status__exact="reversal_pending", waiting_for__exact="debt")
    failed_link = to_list(model, status__exact="permanently_failed")
    return Card(
        "Transfers and debts",
        [
            _count("transfers pending", of(TransferStatus.PENDING), model, status__exact="pending"),
            _count("… failed, will be retried", of(TransferStatus.FAILED), model, "warn", status__exact="failed"),
            _count("being reversed", of(TransferStatus.REVERSAL_PENDING), model, status__exact="reversal_pending"),
            _count(
                "failed, needs review",
                of(TransferStatus.PERMANENTLY_FAILED),
                model,
                "bad",
                status__exact="permanently_failed",
            ),
            *_debts("sellers' debts", SellerTransfer.objects.debts(), retrying_link, "warn"),
            *_debts("sellers' debts, needs review", SellerTransfer.objects.failed_debts(), failed_link, "bad"),
        ],
    )


def _debts(label: str, transfers: "models.QuerySet[SellerTransfer]", link: str, tone: str) -> list[Number]:
    """The sum of the first of these debts, one number per currency."""
    some = SellerTransfer.objects.filter(pk__in=transfers.order_by()[:COUNT_LIMIT].values("pk")).order_by()
    sums = some.values("currency").annotate(debt=Sum(F("reversal_target_minor") - F("reversed_minor")))
    return [Number(label, format_amount(row["debt"], row["currency"]), link, tone) for row in sums.order_by("currency")]


def _webhooks(at: datetime) -> Card:
    newest = WebhookDelivery.objects.filter(received_at__gte=at - DAY).order_by("-received_at")
    latest = list(newest.values_list("processing_result", "signature_valid")[:DELIVERY_LIMIT])
    counts: Counter[str] = Counter(
        result.partition(":")[0] if is_authentic else "invalid signature" for result, is_authentic in latest
    )
    is_complete = len(latest) < DELIVERY_LIMIT
    numbers = [
        Number(label, str(counts[result]), to_list(_LOG, age="24h", **filters), _tone(tone, counts[result]))
        for label, result, filters, tone in _RESULTS
    ]
    surplus = InvalidSignatureCount.objects.filter(minute_at__gte=at - DAY).aggregate(n=Sum("deliveries"))["n"] or 0
    if surplus:
        numbers.append(Number("… counted but not stored", f"{surplus:,}", to_list(_LOG, signature="bad"), "bad"))
    retries = WebhookDelivery.objects.filter(next_attempt_at__isnull=False)
    numbers.append(_count("will be retried", retries, _LOG, "warn", result="waiting"))
    return Card("Webhooks, 24 hours", numbers, "" if is_complete else f"Of the newest {DELIVERY_LIMIT:,}.")


_LOG = "payments_webhookdelivery"
_RESULTS: tuple[tuple[str, str, dict[str, str], str], ...] = (
    ("applied", "ok", {"result": "ok"}, "plain"),
    ("skipped", "skipped", {"result": "skipped"}, "plain"),
    ("failed", "error", {"result": "error"}, "bad"),
    ("invalid signatures", "invalid signature", {"signature": "bad"}, "bad"),
)


def _emails(at: datetime) -> Card:
    waiting = Email.objects.waiting()
    late = waiting.filter(created_at__lt=at - EMAIL_LATE_AFTER)
    oldest = waiting.order_by("created_at").values_list("created_at", flat=True).first()
    failures = ReviewItem.objects.filter(kind=EMAIL_FAILED, closed_at__isnull=True)
    return Card(
        "E-mails",
        [
            _count("waiting", waiting, "core_email", note=_oldest(at, oldest), status__exact="waiting"),
            _count("… for over an hour", late, "core_email", "warn", status__exact="waiting"),
            _count("failed, need review", failures, "core_reviewitem", "bad", state="open", kind=EMAIL_FAILED),
        ],
    )


def _workers(at: datetime) -> Card:
    beats = {beat.name: beat for beat in Heartbeat.objects.order_by("name")}
    every = intervals()
    numbers = [_worker(name, beat, every.get(BEATS_OF.get(name, name), LONGEST), at) for name, beat in beats.items()]
    tasks = {BEATS_OF.get(name, name) for name in beats}
    numbers += [
        Number(name, "never", to_list("core_heartbeat"), "warn")
        for name, interval in sorted(every.items())
        if name not in tasks and interval < LONGEST
    ]
    return Card("Workers", numbers, "" if numbers else "No worker has run yet. Start a worker and beat.")


def _worker(name: str, beat: Heartbeat, every: timedelta, at: datetime) -> Number:
    silence = at - beat.beat_at
    is_late = silence > max(every * LATE_AFTER_INTERVALS, AT_LEAST)
    note = f"{beat.failed} failed" if beat.failed else ""
    tone = "bad" if is_late else "warn" if beat.failed else "good"
    return Number(name, f"{lasting(silence)} ago", to_list("core_heartbeat"), tone, note)


def _services(at: datetime) -> Card:
    current = state()
    tones = {"ok": "good", "degraded": "bad", "disabled": "plain"}
    calls = {"hyperswitch", "stripe", "smtp"}
    numbers = [
        Number(
            name,
            service["status"],
            to_list("core_providercall", provider=name) if name in calls else to_list("core_heartbeat"),
            tones[service["status"]],
        )
        for name, service in current["services"].items()
    ]
    switch = reverse("admin:core_platformsetting_change", args=["maintenance"])
    on = current["maintenance"]
    numbers.append(Number("maintenance", "on" if on else "off", switch, "bad" if on else "good"))
    return Card("Dependencies", numbers, f"Version {current['version']}, {current['environment']}.")


def _count(
    label: str, rows: "models.QuerySet[Any]", model: str, tone: str = "plain", *, note: str = "", **filters: str
) -> Number:
    """A count, capped at COUNT_LIMIT: the list shows the rest."""
    count = rows.order_by()[: COUNT_LIMIT + 1].count()
    text = f"{COUNT_LIMIT:,}+" if count > COUNT_LIMIT else str(count)
    return Number(label, text, to_list(model, **filters), _tone(tone, count), note)


def _tone(tone: str, count: int) -> str:
    return tone if count else "good" if tone in ("warn", "bad") else "plain"


def _oldest(at: datetime, oldest: datetime | None) -> str:
    return f"oldest {lasting(at - oldest)}" if oldest else ""


def to_list(model: str, **filters: str) -> str:
    """The address of the list behind a number."""
    where = reverse(f"admin:{model}_changelist")
    return f"{where}?{urlencode(filters)}" if filters else where
