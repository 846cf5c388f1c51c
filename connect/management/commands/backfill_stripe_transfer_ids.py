import json
from collections import Counter
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from connect.transfers.backfill import AROUND, Match, MatchCount, find_matches, without_id
from veza.core.durations import parse_duration


class Command(BaseCommand):
    help = (
        "Find Stripe's ids of transfers that were sent and have none. Shows what it would store; --store stores it. "
        "It may be stopped and started again. Exit status 1 when several match one transfer or Stripe did not answer."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--store", action="store_true", help="store the ids; without it nothing is changed")
        parser.add_argument("--dry-run", action="store_true", help="change nothing, which is also the default")
        parser.add_argument(
            "--around", type=parse_duration, default=AROUND, help="how far from our booking, such as 3d"
        )
        parser.add_argument("--json", action="store_true", help="end with one JSON line")

    def handle(self, *, store: bool, dry_run: bool, around: timedelta, **options: Any) -> None:
        """Match each transfer, print the result, and end with the counts."""
        if store and dry_run:
            raise CommandError("--store and --dry-run contradict each other")
        total, counts = without_id().count(), Counter[str]()
        for match in find_matches(store=store, around=around):
            counts[match.count] += 1
            if not options["json"]:
                self.stdout.write(_sentence(match, store=store))
            elif self.stderr.isatty():
                self.stderr.write(f"\r{counts.total()}/{total} transfers", ending="")
        totals = {count.name.lower(): counts[count] for count in MatchCount}
        if options["json"]:
            self.stdout.write(json.dumps({"transfers": counts.total(), **totals, "stored": store}))
        else:
            self.stdout.write(", ".join(f"{count} {name.replace('_', ' ')}" for name, count in totals.items()))
        if counts[MatchCount.SEVERAL] or counts[MatchCount.NO_ANSWER]:
            raise CommandError("some transfers need review, or Stripe did not answer", returncode=1)


def _sentence(match: Match, *, store: bool) -> str:
    row = f"{match.transfer.pk} ({match.transfer.amount()}, order {match.transfer.order_id})"
    match match.count:
        case MatchCount.ONE:
            return f"{row}: {match.stripe_transfer_ids[0]}{'' if store else ' would be stored'}"
        case MatchCount.SEVERAL:
            return f"{row}: several match and none is picked: {', '.join(match.stripe_transfer_ids)}"
        case MatchCount.NONE:
            return f"{row}: nothing at Stripe matches. {match.why}".strip()
        case MatchCount.NO_ANSWER:
            return f"{row}: Stripe did not answer. {match.why}".strip()
