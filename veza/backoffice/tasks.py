"""The back-office's own clock."""

from celery import shared_task
from django.utils import timezone

from veza.backoffice import digest, flows, verification


@shared_task(name="backoffice.add_up")
def add_up(**_newer: object) -> None:
    """Add new postings to the sums that the dashboard shows."""
    flows.add_up()


@shared_task(name="backoffice.verify_ledger", soft_time_limit=3_300, time_limit=3_600)
def verify_ledger(**_newer: object) -> None:
    """Prove the whole ledger; what is not true opens a review item."""
    verification.verify_ledger()


@shared_task(name="backoffice.write_digest")
def write_digest(**_newer: object) -> None:
    """Write the digest of open review items to staff."""
    digest.write_digest(at=timezone.now())
