"""Expire the active subscriptions without an effective payment."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from subscriptions.unpaid import expire_unpaid, find_unpaid
from veza.core.causes import Cause


class Command(BaseCommand):
    help = (
        "Find active subscriptions without a free plan, an unexpired trial or a paid invoice, copy each row into the "
        "audit table, and expire it. Run it with --dry-run first. A second run finds nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only list them")
        parser.add_argument("--json", action="store_true", help="end with one JSON line")

    def handle(self, **options: Any) -> None:
        at, cause = timezone.now(), Cause("command", actor="expire_unpaid_subscriptions")
        found_count = expired_count = 0
        for subscription in find_unpaid(at=at):
            found_count += 1
            if not options["json"]:
                self.stdout.write(f"{subscription.pk}  {subscription.user.email}  {subscription.plan.name}")
            if not options["dry_run"]:
                expired_count += expire_unpaid(subscription.pk, cause=cause, at=at)
        summary = {"found": found_count, "expired": expired_count, "dry_run": options["dry_run"]}
        self.stdout.write(json.dumps(summary) if options["json"] else f"{found_count} found, {expired_count} expired")
