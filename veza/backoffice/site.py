"""The admin site: the floors' pages, with the whole story beside each row."""

from collections.abc import Sequence
from uuid import UUID

from payments.models import Payment
from veza.backoffice.proof import prove_payment
from veza.backoffice.timeline import next_steps_of, timeline_of
from veza.core.admin_base import MoneySite
from veza.core.timeline import ProofLine, TimelineLine


class Backoffice(MoneySite):
    site_header = "Veza back-office"
    site_title = "Veza"
    index_title = "Where is the money?"

    def timeline_of(self, story_id: UUID) -> Sequence[TimelineLine]:
        return timeline_of(story_id)

    def next_steps_of(self, story_id: UUID) -> Sequence[str]:
        return next_steps_of(story_id)

    def proof_of(self, story_id: UUID) -> Sequence[ProofLine]:
        return [
            ProofLine(term.label, term.booked_minor, term.currency, term.holds)
            for payment in Payment.objects.filter(story_id=story_id)
            for term in prove_payment(payment).terms
        ]
