"""The back-office's own clock."""

from celery import shared_task

from veza.backoffice import flows


@shared_task(name="backoffice.add_up")
def add_up(**_newer: object) -> None:
    """Add new postings to the sums that the dashboard shows."""
    flows.add_up()
