"""The scheduled sweeps over sellers' money: each calls one verb."""

from celery import shared_task

from connect import accounts, closed_balances, closing, comparison, payouts
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


@shared_task(name="connect.review_closed_sellers")
def review_closed_sellers(**_newer: object) -> None:
    """Open review items for what closed sellers are owed or owe, and close those that are settled."""
    closing.review_closed_sellers()


@shared_task(name="connect.review_closed_balances", soft_time_limit=1_500, time_limit=1_600)
def review_closed_balances(**_newer: object) -> None:
    """Read what closed sellers still have at Stripe, and open review items for it."""
    closed_balances.review_closed_balances()


@shared_task(name="connect.look_at_stripe")
def refresh_from_stripe(**_newer: object) -> None:
    """Refresh the accounts and transfers that Stripe reported a change of."""
    accounts.refresh_due()
    transfer_refresh.refresh_due()


@shared_task(name="connect.move_on_payouts")
def advance_payouts(**_newer: object) -> None:
    """Send again the payouts without an answer, and refresh those that the bank has."""
    payouts.advance_due()


@shared_task(name="connect.compare_lists", soft_time_limit=1_500, time_limit=1_600)
def compare_lists(**_newer: object) -> None:
    """Compare Stripe's list of transfers with our rows."""
    comparison.compare()
