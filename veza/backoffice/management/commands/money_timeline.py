"""Show an order's history in sentences, with the proof that every cent is accounted for."""

import json
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from payments.ledger.proof import Proof
from payments.models import Payment
from veza.backoffice.proof import prove_payment
from veza.backoffice.timeline import next_steps_of, timeline_of
from veza.core.money import format_amount


class Command(BaseCommand):
    help = "Show the history of one order, the next steps, and the ledger's proof."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("order_id", type=UUID)
        parser.add_argument("--json", action="store_true", help="one JSON object instead of sentences")

    def handle(self, *, order_id: UUID, **options: Any) -> None:
        lines = timeline_of(order_id)
        if not lines:
            raise CommandError(f"There is no order {order_id}.")
        proofs = [prove_payment(payment) for payment in Payment.objects.filter(correlation_id=order_id)]
        if options["json"]:
            self.stdout.write(_as_json([line.text for line in lines], proofs))
            return
        for line in lines:
            self.stdout.write(f"{line.at:%Y-%m-%d %H:%M:%S}  {line.text}")
        for step in next_steps_of(order_id):
            self.stdout.write(f"next: {step}")
        for term in (term for proof in proofs for term in proof.terms):
            mark = "" if term.expected_minor is None else " = the rows" if term.holds else " DIFFERS from the rows"
            self.stdout.write(f"{format_amount(term.booked_minor, term.currency):>20}  {term.label}{mark}")


def _as_json(lines: list[str], proofs: list[Proof]) -> str:
    terms = [
        {"label": term.label, "amount_minor": term.booked_minor, "currency": term.currency}
        for proof in proofs
        for term in proof.terms
    ]
    return json.dumps({"lines": lines, "proof": terms, "balanced": all(proof.is_balanced for proof in proofs)})
