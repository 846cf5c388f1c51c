"""The front page: what moved, what waits, what is broken. Every count is capped and every number leads to its list."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.db import models
from django.db.models import Count, F, Min, Sum
from django.urls import reverse
from django.utils.module_loading import import_string

from connect.models import SellerTransfer
from connect.states import TransferStatus
from payments.models import InvalidSignatureCount, Payment, Refund, WebhookDelivery
from payments.states import PaymentStatus, RefundStatus
from veza.backoffice.charts import Chart, Step, bars
from veza.backoffice.flows import Flow, Flows, added_up_to, recent_flows
from veza.core.admin_columns import lasting
from veza.core.ids import first_id_since
from veza.core.models import Heartbeat, ReviewItem, User
from veza.core.money import format_amount

COUNTED_UP_TO = 1_000
DELIVERIES_LOOKED_AT = 10_000
DAY = timedelta(days=1)
# A worker that has not finished a round for this many of its intervals is late.
LATE_AFTER_ROUNDS = 3
AT_LEAST = timedelta(minutes=5)
LONGEST = timedelta(hours=1)
# Heartbeats that bear another name than the task they belong to.
BEATS_OF = {
    "refunds.resend": "payments.resend",
    "disputes.resend": "payments.resend",
    "refunds.reconcile": "payments.reconcile",
    "orphans.reconcile": "payments.reconcile",
    "disputes.reconcile": "payments.reconcile",
    "connect.look_at_accounts": "connect.look_at_stripe",
    "connect.look_at_transfers": "connect.look_at_stripe",
}


@dataclass(frozen=True)
class Number:
    """One number with its list behind it. `tone` is good, plain, warn or bad."""

    label: str
    shown: str
    link: str = ""
    tone: str = "plain"
    note: str = ""


@dataclass(frozen=True)
class Card:
    title: str
    numbers: list[Number]
    note: str = ""


@dataclass(frozen=True)
class MoneyCard:
    """One currency's tiles and pictures."""

    currency: str
    tiles: list[Number]
    charts: list[Chart] = field(default_factory=list)


def money_cards(at: datetime) -> list[MoneyCard]:
    return [_money(flows) for flows in recent_flows(at)]


def as_of() -> datetime | None:
    return added_up_to()


def cards(person: User, at: datetime) -> list[Card]:
    """What this person may look at, the most urgent first."""
    every = (
        ("core.view_reviewitem", _cases),
        ("payments.view_refund", _refunds),
        ("connect.view_sellertransfer", _transfers),
        ("payments.view_webhookdelivery", _webhooks),
        ("core.view_heartbeat", _workers),
        ("core.view_heartbeat", _services),
    )
    return [make(at) for permission, make in every if person.has_perm(permission)]


def _money(flows: Flows) -> MoneyCard:
    code = flows.currency
    tiles = [
        _tile("Money in", flows.day.received, flows.month.received, code, "payments_payment", status="succeeded"),
        _tile("Refunded", flows.day.refunded, flows.month.refunded, code, "payments_refund", status="succeeded"),
        _tile("Transferred", flows.day.transferred, flows.month.transferred, code, "connect_sellertransfer"),
        _tile("Our fee", flows.day.fee, flows.month.fee, code, "payments_posting", q="platform_fee"),
    ]
    months = [Step(f"{day:%d %b}", _in_and_out(flow, code)) for day, flow in flows.days]
    hours = [Step(f"{hour:%H}:00", _in_and_out(flow, code)) for hour, flow in flows.hours]
    return MoneyCard(
        code,
        tiles,
        [
            bars(f"30 days, {code}", months, label_every=5),
            bars(f"24 hours, {code} (UTC)", hours, label_every=4),
        ],
    )


def _in_and_out(flow: Flow, code: str) -> list[tuple[str, int, str]]:
    return [
        ("in", flow.received, f"{format_amount(flow.received, code)} in"),
        ("out", flow.refunded, f"{format_amount(flow.refunded, code)} refunded"),
        ("sent", flow.transferred, f"{format_amount(flow.transferred, code)} to sellers"),
    ]


def _tile(label: str, day: int, month: int, code: str, model: str, *, status: str = "", q: str = "") -> Number:
    wanted = {"currency": code, "age": "30d"} | ({"status__exact": status} if status else {}) | ({"q": q} if q else {})
    return Number(
        label, format_amount(month, code), to_list(model, **wanted), note=f"{format_amount(day, code)} in 24 hours"
    )


def _cases(at: datetime) -> Card:
    standing = ReviewItem.objects.filter(closed_at__isnull=True)
    some = ReviewItem.objects.filter(pk__in=standing.order_by()[:COUNTED_UP_TO].values("pk")).order_by()
    kinds = some.values("kind").annotate(several=Count("pk"), oldest=Min("opened_at")).order_by("oldest")
    numbers = [
        Number(
            row["kind"].replace("_", " "),
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
    return Card("Cases for a person", numbers, "" if numbers else "No case is open: nothing waits for a decision.")


def _refunds(at: datetime) -> Card:
    waiting = Refund.objects.filter(status=RefundStatus.PENDING)
    stuck = waiting.filter(pk__lt=first_id_since(settings.RECONCILE_REFUND_STUCK_AFTER))
    old = waiting.filter(pk__lt=first_id_since(DAY))
    wrong = Payment.objects.filter(status=PaymentStatus.MISMATCHED)
    oldest = waiting.order_by("pk").values_list("created_at", flat=True).first()
    return Card(
        "Refunds and payments",
        [
            _count("refunds pending", waiting, "payments_refund", note=_oldest(at, oldest), status__exact="pending"),
            _count("… longer than they should", stuck, "payments_refund", "warn", stuck="yes"),
            _count("… for more than a day", old, "payments_refund", "bad", status__exact="pending", age="over24h"),
            _count("payments of a wrong amount", wrong, "payments_payment", "bad", status__exact="mismatched"),
        ],
    )


def _transfers(at: datetime) -> Card:
    def of(status: str) -> "models.QuerySet[SellerTransfer]":
        return SellerTransfer.objects.filter(status=status)

    model = "connect_sellertransfer"
    tried = to_list(model, status__exact="reversal_pending", waiting_for__exact="debt")
    given_up = to_list(model, status__exact="permanently_failed")
    return Card(
        "Sellers' money",
        [
            _count("transfers waiting", of(TransferStatus.PENDING), model, status__exact="pending"),
            _count("… refused, tried again", of(TransferStatus.FAILED), model, "warn", status__exact="failed"),
            _count("being taken back", of(TransferStatus.REVERSAL_PENDING), model, status__exact="reversal_pending"),
            _count(
                "given up: a person decides",
                of(TransferStatus.PERMANENTLY_FAILED),
                model,
                "bad",
                status__exact="permanently_failed",
            ),
            *_debts("owed by sellers", SellerTransfer.objects.debts(), tried, "warn"),
            *_debts("owed by sellers, given up", SellerTransfer.objects.failed_debts(), given_up, "bad"),
        ],
    )


def _debts(label: str, owed: "models.QuerySet[SellerTransfer]", link: str, tone: str) -> list[Number]:
    """What the first of these transfers come to, a number for each currency."""
    some = SellerTransfer.objects.filter(pk__in=owed.order_by()[:COUNTED_UP_TO].values("pk")).order_by()
    sums = some.values("currency").annotate(debt=Sum(F("reversal_target_minor") - F("reversed_minor")))
    return [Number(label, format_amount(row["debt"], row["currency"]), link, tone) for row in sums.order_by("currency")]


def _webhooks(at: datetime) -> Card:
    newest = WebhookDelivery.objects.filter(received_at__gte=at - DAY).order_by("-received_at")
    looked_at = list(newest.values_list("processing_result", "signature_valid")[:DELIVERIES_LOOKED_AT])
    words: dict[str, int] = {}
    for payload, authentic in looked_at:
        word = payload.partition(":")[0] if authentic else "bad signature"
        words[word] = words.get(word, 0) + 1
    whole = len(looked_at) < DELIVERIES_LOOKED_AT
    numbers = [
        Number(label, str(words.get(word, 0)), to_list(_LOG, age="24h", **wanted), _tone(tone, words.get(word, 0)))
        for label, word, wanted, tone in _RESULTS
    ]
    uncounted = InvalidSignatureCount.objects.filter(minute_at__gte=at - DAY).aggregate(n=Sum("deliveries"))["n"] or 0
    if uncounted:
        numbers.append(Number("… and not kept, from floods", f"{uncounted:,}", to_list(_LOG, signature="bad"), "bad"))
    again = WebhookDelivery.objects.filter(next_attempt_at__isnull=False)
    numbers.append(_count("still tried again", again, _LOG, "warn", result="waiting"))
    return Card("Webhooks, 24 hours", numbers, "" if whole else f"Of the newest {DELIVERIES_LOOKED_AT:,}.")


_LOG = "payments_webhookdelivery"
_RESULTS: tuple[tuple[str, str, dict[str, str], str], ...] = (
    ("handled", "ok", {"result": "ok"}, "plain"),
    ("skipped", "skipped", {"result": "skipped"}, "plain"),
    ("failed", "error", {"result": "error"}, "bad"),
    ("bad signatures", "bad signature", {"signature": "bad"}, "bad"),
)


def _workers(at: datetime) -> Card:
    beats = {beat.name: beat for beat in Heartbeat.objects.order_by("name")}
    intervals = _intervals()
    numbers = [
        _worker(name, beat, intervals.get(BEATS_OF.get(name, name), LONGEST), at) for name, beat in beats.items()
    ]
    snapshot = {BEATS_OF.get(name, name) for name in beats}
    numbers += [
        Number(name, "never", to_list("core_heartbeat"), "warn")
        for name, every in sorted(intervals.items())
        if name not in snapshot and every < LONGEST
    ]
    return Card("Workers", numbers, "" if numbers else "No worker has run yet. Start a worker and beat.")


def _intervals() -> dict[str, timedelta]:
    """How often each worker should beat, by beat's own schedule: a message expires when the next one is due."""
    schedule = import_string(settings.WORKERS).conf.beat_schedule
    return {name: timedelta(seconds=entry["options"]["expires"]) for name, entry in schedule.items()}


def _worker(name: str, beat: Heartbeat, every: timedelta, at: datetime) -> Number:
    silent = at - beat.beat_at
    late = silent > max(every * LATE_AFTER_ROUNDS, AT_LEAST)
    note = f"{beat.failed} failed" if beat.failed else ""
    tone = "bad" if late else "warn" if beat.failed else "good"
    return Number(name, f"{lasting(silent)} ago", to_list("core_heartbeat"), tone, note)


def _services(at: datetime) -> Card:
    payload = import_string(settings.STATE_OF_SERVICES)()
    tones = {"ok": "good", "degraded": "bad", "disabled": "plain"}
    calls = {"hyperswitch", "stripe"}
    numbers = [
        Number(
            name,
            service["status"],
            to_list("core_providercall", provider=name) if name in calls else to_list("core_heartbeat"),
            tones[service["status"]],
        )
        for name, service in payload["services"].items()
    ]
    switch = reverse("admin:core_platformsetting_change", args=["maintenance"])
    on = payload["maintenance"]
    numbers.append(Number("maintenance", "on" if on else "off", switch, "bad" if on else "good"))
    return Card("What Veza stands on", numbers, f"Version {payload['version']}, {payload['environment']}.")


def _count(
    label: str, rows: "models.QuerySet[Any]", model: str, tone: str = "plain", *, note: str = "", **wanted: str
) -> Number:
    """How many, but never more than a person needs to know: the rest is a list away."""
    several = rows.order_by()[: COUNTED_UP_TO + 1].count()
    shown = f"{COUNTED_UP_TO:,}+" if several > COUNTED_UP_TO else str(several)
    return Number(label, shown, to_list(model, **wanted), _tone(tone, several), note)


def _tone(tone: str, several: int) -> str:
    return tone if several else "good" if tone in ("warn", "bad") else "plain"


def _oldest(at: datetime, oldest: datetime | None) -> str:
    return f"oldest {lasting(at - oldest)}" if oldest else ""


def to_list(model: str, **wanted: str) -> str:
    """Where the rows behind a number are."""
    where = reverse(f"admin:{model}_changelist")
    return f"{where}?{urlencode(wanted)}" if wanted else where
