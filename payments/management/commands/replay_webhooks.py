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

SHOWN = 50


class Command(BaseCommand):
    help = "Handle stored webhook deliveries again: those chosen, or else all that no handler has finished."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--since", type=_time, help="received at or after: 2026-08-21 or 2026-08-21T10:00Z")
        parser.add_argument("--until", type=_time, help="received before")
        parser.add_argument("--type", help="an event type, such as refund_succeeded")
        parser.add_argument("--id", help="one delivery's id, or an event id of the provider")
        parser.add_argument("--dry-run", action="store_true", help="show what would be handled and change nothing")
        parser.add_argument("--json", action="store_true", help="answer with one JSON line")

    def handle(self, *, dry_run: bool, json: bool, **chosen: Any) -> None:
        keys = list(_deliveries(**chosen).order_by("received_at", "pk").values_list("pk", flat=True))
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
        self._tell(results, as_json=json)
        if errors:
            raise CommandError(f"{errors} failed in their handler: the log says why, and they are tried again.")

    def _show(self, keys: list[UUID], *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps({"would_handle": [str(key) for key in keys], "dry_run": True}))
            return
        for row in WebhookDelivery.objects.filter(pk__in=keys[:SHOWN]).order_by("received_at"):
            self.stdout.write(f"{row.pk}  {row.received_at:%F %T}  {row.event_type}  {row.processing_result[:60]}")
        self.stdout.write(f"{len(keys)} would be handled again; nothing was changed.")

    def _tell(self, results: Counter[str], *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps({"handled": results.total(), "results": dict(results)}))
            return
        for result, number in results.most_common():
            self.stdout.write(f"{number:8}  {result}")
        self.stdout.write(f"{results.total()} handled again.")


def _deliveries(**chosen: Any) -> Any:
    rows = WebhookDelivery.objects.filter(signature_valid=True)
    if not any(chosen[name] for name in ("since", "until", "type", "id")):
        return rows.exclude(processing_result__in=FINAL).exclude(processing_result="skipped: duplicate")
    if chosen["since"]:
        rows = rows.filter(received_at__gte=chosen["since"])
    if chosen["until"]:
        rows = rows.filter(received_at__lt=chosen["until"])
    if chosen["type"]:
        rows = rows.filter(event_type=chosen["type"])
    if chosen["id"]:
        rows = rows.filter(_named(chosen["id"]))
    return rows


def _named(written: str) -> Q:
    try:
        return Q(pk=UUID(written)) | Q(event_id=written)
    except ValueError:
        return Q(event_id=written)


def _time(written: str) -> datetime:
    try:
        day = parse_date(written)
        at = datetime.combine(day, datetime.min.time()) if day else parse_datetime(written)
    except ValueError:
        at = None
    if at is None:
        raise ArgumentTypeError(f"{written!r} is no time: write 2026-08-21 or 2026-08-21T10:00Z")
    return at if at.tzinfo else timezone.make_aware(at)
