"""What the clock does for sellers' money."""

from celery import shared_task

from connect import reversals, transfers


@shared_task(name="connect.send_transfers")
def send_transfers(**_newer: object) -> None:  # _newer: beat and workers are deployed at different times.
    """Send every transfer that is due."""
    transfers.send_due()


@shared_task(name="connect.process_reversals")
def process_reversals(**_newer: object) -> None:
    """Take back from every transfer that is due."""
    reversals.process_due()
