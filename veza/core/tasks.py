"""The ground floor's sweeps: each calls one verb."""

from celery import shared_task

from veza.core.email import sending


@shared_task(name=sending.SWEEP)
def send_emails(**_newer: object) -> None:
    """Send every e-mail that is due."""
    # _newer: beat and workers are deployed at different times.
    sending.send_due()
