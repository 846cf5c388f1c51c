import json
from argparse import ArgumentParser, ArgumentTypeError
from collections import Counter
from datetime import datetime
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from django.db.models import Q
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from payments.inbox.intake import FINAL
from payments.inbox.replay import ReplayForbidden, replay
from payments.models import WebhookDelivery
from veza.core.words import count_of

MAX_LINES = 50


class Command(BaseCommand):
    help = "Replay stored webhook deliveries: those that the options select, or else all without a final result."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--since", type=_time, help="received at or after: 2026-08-21 or 2026-08-21T10:00Z")
        parser.add_argument("--until", type=_time, help="received before")
        parser.add_argument("--type", help="an event type, such as refund_succeeded")
        parser.add_argument("--id", help="one delivery's id, or an event id of the provider")
        parser.add_argument("--dry-run", action="store_true", help="show what would be replayed and change nothing")
        parser.add_argument("--json", action="store_true", help="answer with one JSON line")

    def handle(self, *, dry_run: bool, json: bool, **filters: Any) -> None:
        keys = list(_deliveries(**filters).order_by("received_at", "pk").values_list("pk", flat=True))
        if dry_run:
            self._show(keys, as_json=json)
            return
        results, errors = Counter[str](), 0
        for number, key in enumerate(keys, start=1):
            try:
                result = replay(key)
            except ReplayForbidden as error:
                results[str(error)] += 1
            else:
                results[result.text.partition(":")[0] if result.http_status == 500 else result.text] += 1
                errors += result.http_status >= 500
            if self.stdout.isatty() and number % 100 == 0:
                self.stdout.write(f"{number} of {len(keys)}", ending="\r")
        self._write(results, as_json=json)
        if errors:
            raise CommandError(f"{errors} failed in their handler: the log has the errors, and they are retried.")

    def _show(self, keys: list[UUID], *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps({"would_handle": [str(key) for key in keys], "dry_run": True}))
            return
        for row in WebhookDelivery.objects.filter(pk__in=keys[:MAX_LINES]).order_by("received_at"):
            self.stdout.write(f"{row.pk}  {row.received_at:%F %T}  {row.event_type}  {row.processing_result[:60]}")
        self.stdout.write(f"{count_of(len(keys), 'delivery', 'deliveries')} would be replayed; nothing was changed.")

    def _write(self, results: Counter[str], *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps({"handled": results.total(), "results": dict(results)}))
            return
        for result, number in results.most_common():
            self.stdout.write(f"{number:8}  {result}")
        self.stdout.write(f"{count_of(results.total(), 'delivery', 'deliveries')} replayed.")


def _deliveries(**filters: Any) -> Any:
    rows = WebhookDelivery.objects.filter(signature_valid=True)
    if not any(filters[name] for name in ("since", "until", "type", "id")):
        return rows.exclude(processing_result__in=FINAL).exclude(processing_result="skipped: duplicate")
    if filters["since"]:
        rows = rows.filter(received_at__gte=filters["since"])
    if filters["until"]:
        rows = rows.filter(received_at__lt=filters["until"])
    if filters["type"]:
        rows = rows.filter(event_type=filters["type"])
    if filters["id"]:
        rows = rows.filter(_has_id(filters["id"]))
    return rows


def _has_id(text: str) -> Q:
    try:
        return Q(pk=UUID(text)) | Q(event_id=text)
    except ValueError:
        return Q(event_id=text)


def _time(text: str) -> datetime:
    try:
        day = parse_date(text)
        at = datetime.combine(day, datetime.min.time()) if day else parse_datetime(text)
    except ValueError:
        at = None
    if at is None:
        raise ArgumentTypeError(f"{text!r} is not a time: write 2026-08-21 or 2026-08-21T10:00Z")
    return at if at.tzinfo else timezone.make_aware(at)
