"""Expire the subscriptions that are active while nobody pays for them."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from subscriptions.unpaid import expire_unpaid, find_unpaid
from veza.core.causes import Cause


class Command(BaseCommand):
    help = (
        "Find active subscriptions without a free plan, an unexpired trial or a paid invoice, keep each row in the "
        "audit table, and expire it. Run it with --dry-run first. Doing it again finds nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only list them")
        parser.add_argument("--json", action="store_true", help="end with one JSON line")

    def handle(self, **options: Any) -> None:
        at, cause = timezone.now(), Cause("command", actor="expire_unpaid_subscriptions")
        found = expired = 0
        for subscription in find_unpaid(at=at):
            found += 1
            if not options["json"]:
                self.stdout.write(f"{subscription.pk}  {subscription.user.email}  {subscription.plan.name}")
            if not options["dry_run"]:
                expired += expire_unpaid(subscription.pk, cause=cause, at=at)
        summary = {"found": found, "expired": expired, "dry_run": options["dry_run"]}
        self.stdout.write(json.dumps(summary) if options["json"] else f"{found} found, {expired} expired")
