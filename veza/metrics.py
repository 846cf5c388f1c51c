"""`/metrics` for Prometheus: the state of payments, refunds, transfers and workers, read from their rows.

Everything is read from the database, so it does not matter which process answers, how many there are, or whether one
was restarted. All queries use partial indexes, and counting stops at CAP. A figure that cannot be read is left out
and named in `veza_metrics_failed`.
"""

import hmac
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Any

import structlog
from django.conf import settings
from django.db import Error, models
from django.db.models import Count, Min, Sum
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils import timezone
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from connect.models import SellerTransfer
from payments.collection import expiry
from payments.disputes import dispute_updates
from payments.models import InvalidSignatureCount, Payment, Refund, WebhookDelivery
from payments.states import RefundStatus
from subscriptions.models import Subscription
from veza.core.api.problems import Problem, to_http
from veza.core.api.requests import source_address
from veza.core.cached_value import CachedValue
from veza.core.ids import first_id_since
from veza.core.models import Email, Heartbeat, ProviderCall, ReviewItem
from veza.status import OK, state

log = structlog.get_logger(__name__)
CAP = 10_000
CALLS_CAP = 5_000
DELIVERIES_OVER = timedelta(hours=1)
CALLS_OVER = timedelta(minutes=5)
QUANTILES = (0.5, 0.95, 0.99)
Family = GaugeMetricFamily


def _services() -> Iterator[Family]:
    snapshot = state()
    up = Family("veza_up", "1 if a dependency answers, 0 if not; a disabled one is absent.", labels=["service"])
    for name, service in snapshot["services"].items():
        if service["status"] != "disabled":
            up.add_metric([name], service["status"] == OK)
    yield up
    yield Family("veza_maintenance", "1 while maintenance mode is on.", value=snapshot["maintenance"])
    build = Family("veza_build_info", "Version and environment.", labels=["version", "environment"])
    build.add_metric([snapshot["version"], settings.VEZA_ENVIRONMENT], 1)
    yield build


def _deliveries() -> Iterator[Family]:
    since = Now() - DELIVERIES_OVER
    latest = WebhookDelivery.objects.filter(received_at__gte=since).order_by("-received_at")
    counts = Counter(latest.values_list("provider", "processing_result")[:CAP])
    results: Counter[tuple[str, str]] = Counter()
    for (provider, result), count in counts.items():
        results[provider, "error" if result.startswith("error") else result] += count
    yield _family_of("veza_webhook_deliveries", "Webhook deliveries of the last hour.", ["provider", "result"], results)
    invalid = (
        InvalidSignatureCount.objects.filter(minute_at__gte=since).values_list("provider").annotate(Sum("deliveries"))
    )
    dropped_counts = {(provider,): count for provider, count in invalid}
    yield _family_of(
        "veza_webhook_forgeries_uncounted",
        "Deliveries with an invalid signature in the last hour that were counted but not stored.",
        ["provider"],
        dropped_counts,
    )


def _waiting() -> Iterator[Family]:
    """The age of the oldest unsettled row of each kind."""
    oldest = Family("veza_oldest_waiting_seconds", "Age of the oldest row that is not settled.", labels=["kind"])
    # Not external: those are the rows of the partial index on refunds under way.
    refunds = Refund.objects.filter(status=RefundStatus.PENDING).exclude(source=Refund.Source.EXTERNAL)
    for kind, rows, since_field in (
        ("refund", refunds, "created_at"),
        ("transfer", SellerTransfer.objects.unsent(), "created_at"),
        ("reversal", SellerTransfer.objects.to_reverse(), "next_retry_at"),
        ("transfer_in_doubt", SellerTransfer.objects.unsent(), "in_doubt_since"),
        ("case", ReviewItem.objects.filter(closed_at__isnull=True), "opened_at"),
        ("email", Email.objects.waiting(), "created_at"),
    ):
        oldest.add_metric([kind], _age(rows, since_field))
    yield oldest


def _due() -> Iterator[Family]:
    """The queue: rows that are due and that no worker has claimed."""
    rows = Family("veza_due_rows", f"Rows due and not claimed, counted up to {CAP}.", labels=["queue"])
    late = Family("veza_due_oldest_seconds", "How long the oldest due row is overdue.", labels=["queue"])
    for queue, counts, due in (
        ("payments", Payment.objects.all(), "next_attempt_at"),
        ("refunds", Refund.objects.all(), "next_attempt_at"),
        ("disputes", dispute_updates.due(), "next_attempt_at"),
        ("deliveries", WebhookDelivery.objects.all(), "next_attempt_at"),
        ("unpaid_pages", expiry.to_close(), "close_due_at"),
        ("transfers", SellerTransfer.objects.unsent(), "next_retry_at"),
        ("reversals", SellerTransfer.objects.to_reverse(), "next_retry_at"),
        ("subscriptions", Subscription.objects.all(), "due_at"),
        ("emails", Email.objects.waiting(), "next_attempt_at"),
    ):
        longest_first = counts.filter(**{f"{due}__lte": Now()}).order_by(due)[:CAP]
        totals = longest_first.aggregate(rows=Count("pk"), earliest=Min(due))
        rows.add_metric([queue], totals["rows"])
        late.add_metric([queue], _seconds_since(totals["earliest"]))
    yield from (rows, late)


def _reviews() -> Iterator[Family]:
    items = ReviewItem.objects.filter(closed_at__isnull=True).values_list("kind", "currency")
    open_items = Counter[tuple[str, ...]]()
    doubt: dict[tuple[str, ...], int] = {}
    for kind, currency, count, amount in items.annotate(Count("id"), Sum("amount_minor")):
        open_items[kind,] += count
        doubt[kind, currency] = amount
    in_doubt = SellerTransfer.objects.unsent().filter(in_doubt_since__isnull=False).values_list("currency")
    for currency, amount in in_doubt.annotate(Sum("amount_minor")):
        doubt["transfer_in_doubt", currency] = amount
    yield _family_of("veza_cases_open", "Open review items.", ["kind"], open_items)
    yield _family_of("veza_amount_in_doubt_minor", "Money in doubt, in minor units.", ["kind", "currency"], doubt)


def _calls() -> Iterator[Family]:
    since = first_id_since(CALLS_OVER)
    latest = ProviderCall.objects.filter(id__gte=since).order_by("-id")[:CALLS_CAP]
    outcomes: Counter[tuple[str, ...]] = Counter()
    durations: dict[str, list[int]] = defaultdict(list)
    for provider, outcome, milliseconds in latest.values_list("provider", "outcome", "milliseconds"):
        outcomes[provider, outcome] += 1
        durations[provider].append(milliseconds)
    yield _family_of(
        "veza_provider_calls", "Calls to providers in the last 5 minutes.", ["provider", "outcome"], outcomes
    )
    latency = Family(
        "veza_provider_seconds",
        "Duration of calls to providers in the last 5 minutes.",
        labels=["provider", "quantile"],
    )
    for provider, times in durations.items():
        times.sort()
        for quantile in QUANTILES:
            latency.add_metric([provider, str(quantile)], times[int(quantile * (len(times) - 1))] / 1000)
    yield latency


def _heartbeats() -> Iterator[Family]:
    age = Family("veza_worker_heartbeat_age_seconds", "Seconds since a sweep last finished.", labels=["worker"])
    failures = Family("veza_worker_last_failed", "Rows that failed in the last run.", labels=["worker"])
    successes = Family("veza_worker_last_done", "Rows handled in the last run.", labels=["worker"])
    now = timezone.now()
    for beat in Heartbeat.objects.all():
        age.add_metric([beat.name], max(0.0, (now - beat.beat_at).total_seconds()))
        failures.add_metric([beat.name], beat.failed)
        successes.add_metric([beat.name], beat.done)
    yield from (age, failures, successes)


FIGURES: dict[str, Callable[[], Iterable[Family]]] = {
    "deliveries": _deliveries,
    "waiting": _waiting,
    "due": _due,
    "cases": _reviews,
    "calls": _calls,
    "heartbeats": _heartbeats,
}


def _read_all() -> list[Family]:
    families = list(_services())
    failures = Family("veza_metrics_failed", "1 for each figure that could not be read.", labels=["figure"])
    for name, figure in FIGURES.items():
        try:
            families += figure()
        except Error:
            log.exception("metrics_not_read", figure=name)
            failures.add_metric([name], 1)
    return [*families, failures]


# However many scrapers there are, the database is read once in five seconds.
_families = CachedValue(_read_all, seconds=5)


class _Rows(Collector):
    def collect(self) -> Iterable[Family]:
        return _families()


registry = CollectorRegistry()
registry.register(_Rows())


@require_safe
def metrics(request: HttpRequest) -> HttpResponseBase:
    """Prometheus's text format, for callers with METRICS_TOKEN; if that is not set, for this machine only."""
    if not _may_read(request):
        problem = Problem(
            403, "metrics_refused", "Send METRICS_TOKEN as a bearer token, or call from the same machine."
        )
        return to_http(problem, request)
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def _may_read(request: HttpRequest) -> bool:
    if settings.METRICS_TOKEN:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        return hmac.compare_digest(token.encode(), settings.METRICS_TOKEN.encode())
    if request.headers.get("X-Forwarded-For") and not settings.TRUSTED_PROXIES:
        return False  # A proxy that TRUSTED_PROXIES does not count: every caller would look like this machine.
    address = source_address(request)
    return address is not None and ip_address(address).is_loopback


def _family_of(name: str, documentation: str, labels: list[str], values: Any) -> Family:
    family = Family(name, documentation, labels=labels)
    for key, value in values.items():
        family.add_metric(list(key), value)
    return family


def _age(rows: "models.QuerySet[Any]", field: str) -> float:
    return _seconds_since(rows.order_by().aggregate(earliest=Min(field))["earliest"])


def _seconds_since(at: datetime | None) -> float:
    """0 for no time, and for one in the future."""
    return max(0.0, (timezone.now() - at).total_seconds()) if at else 0.0
