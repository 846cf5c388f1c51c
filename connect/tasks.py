"""The scheduled sweeps over sellers' money: each calls one verb."""

from celery import shared_task

from connect import accounts, payouts
from connect.reversals import reversal_requests
from connect.transfers import transfer_refresh, transfer_requests
from veza.core.backlog import helpers_for


@shared_task(name="connect.send_transfers")
def send_transfers(helpers: int | None = None, **_newer: object) -> None:
    """Send every transfer that is due."""
    # _newer: beat and workers are deployed at different times.
    transfer_requests.send_due(call_for_help=helpers_for(send_transfers, helpers))


@shared_task(name="connect.process_reversals")
def process_reversals(helpers: int | None = None, **_newer: object) -> None:
    """Reverse every transfer that is due."""
    reversal_requests.process_due(call_for_help=helpers_for(process_reversals, helpers))


@shared_task(name="connect.look_at_stripe")
def refresh_from_stripe(**_newer: object) -> None:
    """Refresh the accounts and transfers that Stripe reported a change of."""
    accounts.refresh_due()
    transfer_refresh.refresh_due()


@shared_task(name="connect.move_on_payouts")
def advance_payouts(**_newer: object) -> None:
    """Send again the payouts without an answer, and refresh those that the bank has."""
    payouts.advance_due()
