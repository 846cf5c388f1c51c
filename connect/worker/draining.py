"""How the workers drain the transfers that are due, row by row, for as long as Stripe lets us in."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import InterfaceError, OperationalError

from connect.models import SellerTransfer, SellerTransferQuerySet
from connect.stripe.health import HEALTH
from connect.worker.retries import LEASE
from veza.core.outcomes import NotSent, Outcome
from veza.core.sweeps import Queue, Tally, tick

BATCH = 20


def drain(
    name: str,
    *,
    rows: SellerTransferQuerySet,
    perform: Callable[[UUID], Outcome[Any] | None],
    park: Callable[[UUID, str], None],
    call_for_help: Callable[[], object] | None = None,
) -> Tally:
    """Perform every row that is due, STRIPE_CALLS_AT_ONCE of them at once; call for help with a backlog.

    Stops early when Stripe turns us away or fails for everybody: the other rows would fare no better. A row that
    raises is parked, so that it counts a retry instead of coming back for ever; one that raises because the
    database is away does not.
    """

    def handle(row: SellerTransfer) -> Outcome[Any] | None:
        try:
            return perform(row.pk)
        except (OperationalError, InterfaceError):
            raise
        except Exception as error:
            park(row.pk, f"{type(error).__name__}: {error}")
            raise

    tally = tick(
        name,
        Queue(rows, due="next_retry_at", lease=LEASE, batch=BATCH),
        handle,
        until=_is_the_end,
        at_once=HEALTH.calls_at_once(settings.STRIPE_CALLS_AT_ONCE),
        call_for_help=call_for_help,
    )
    HEALTH.close_review_if_accepted()
    return tally


def _is_the_end(outcome: Outcome[Any] | None) -> bool:
    return isinstance(outcome, NotSent) or bool(HEALTH.stop_reason(outcome))
