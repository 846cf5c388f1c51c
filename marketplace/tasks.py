"""The marketplace's own clock."""

from celery import shared_task

from marketplace import restrictions, undecided_refunds
from veza.core.sweeps import Tally, beat


@shared_task(name="marketplace.review_restrictions")
def review_restrictions(**_newer: object) -> None:
    """Open a review item for each suspension and hold whose review date has come."""
    beat("marketplace.review_restrictions", Tally(done=restrictions.open_due_reviews()))


@shared_task(name="marketplace.review_refund_applications")
def review_refund_applications(**_newer: object) -> None:
    """Open a review item for each refund application that waits unseen, or for too long."""
    undecided_refunds.review_undecided()
