import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from payments.ledger import opening_balances
from payments.models import OpeningBalance


class Command(BaseCommand):
    help = "Add to the sellers' opening balances what was posted since, as the hourly sweep does."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--from-the-start", action="store_true", help="forget them, and sum every posting again")
        parser.add_argument("--dry-run", action="store_true", help="count the opening balances and change none")

    def handle(self, *, from_the_start: bool, dry_run: bool, **_options: Any) -> None:
        if dry_run:
            self.stdout.write(json.dumps({"opening_balances": OpeningBalance.objects.count(), "dry_run": True}))
            return
        count = opening_balances.carry_forward(from_the_start=from_the_start)
        self.stdout.write(json.dumps({"carried_forward": count}))
