"""How the workers drain the transfers that are due, row by row, for as long as Stripe lets us in."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import InterfaceError, OperationalError

from connect.breaker import stripe_is_failing
from connect.models import SellerTransfer, SellerTransferQuerySet
from connect.retries import LEASE
from veza.core.outcomes import NotSent, Outcome, Unknown
from veza.core.sweeps import Tally, claim, tick

# A row of a batch that is not begun this long before its lease ends is left to the next worker.
ONE_CALL = timedelta(seconds=30)
BATCH = 20


def drain(
    name: str,
    *,
    rows: Callable[[], SellerTransferQuerySet],
    perform: Callable[[UUID], Outcome[Any] | None],
    park: Callable[[UUID, str], None],
    call_for_help: Callable[[], object] | None = None,
) -> Tally:
    """Perform every row that is due, STRIPE_CALLS_AT_ONCE of them at once; call for help with a backlog.

    Stops early when Stripe turns us away or fails for everybody: the other rows would fare no better. A row that
    raises is parked, so that it counts a retry instead of coming back for ever; one that raises because the
    database is away does not.
    """
    taken_at = time.monotonic()
    stopped = False

    def take() -> list[SellerTransfer]:
        nonlocal taken_at
        taken_at = time.monotonic()
        return [] if stopped else claim(rows(), due="next_retry_at", lease=LEASE, limit=BATCH)

    def handle(row: SellerTransfer) -> None:
        nonlocal stopped
        if stopped or time.monotonic() - taken_at > (LEASE - ONE_CALL).total_seconds():
            return
        try:
            stopped |= _is_the_end(perform(row.pk))
        except (OperationalError, InterfaceError):
            raise
        except Exception as error:
            park(row.pk, f"{type(error).__name__}: {error}")
            raise

    at_once = settings.STRIPE_CALLS_AT_ONCE
    return tick(name, take=take, handle=handle, at_once=at_once, call_for_help=call_for_help)


def _is_the_end(outcome: Outcome[Any] | None) -> bool:
    return isinstance(outcome, NotSent) or (isinstance(outcome, Unknown) and stripe_is_failing())
