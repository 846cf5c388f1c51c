"""How long a transfer waits before it is tried again."""

from collections.abc import Sequence
from datetime import timedelta

# A seller's balance refills when they sell again: days, not minutes. The last one repeats.
DEBT_SCHEDULE: Sequence[timedelta] = tuple(timedelta(days=days) for days in (1, 2, 4, 7))
# Stripe forgets an idempotency key after at least 24 hours; then the same request is a second one. An hour is
# left for clocks that differ and for a call that is still under way.
KEY_IS_SAFE_FOR = timedelta(hours=23)
# A claimed row comes back after this time if its worker died. It is longer than a call may take.
LEASE = timedelta(minutes=2)


def backoff(retry_count: int, *, base: timedelta, longest: timedelta) -> timedelta:
    """How long to wait after `retry_count` earlier retries: the base, doubled each time, never over
    `longest`.
    """
    # A larger power would overflow a timedelta long after it stopped to matter.
    doublings: int = 2 ** min(retry_count, 24)
    return min(base * doublings, longest)


def debt_wait(refusals: int) -> timedelta:
    """How long to wait for a seller's balance after it was too low `refusals` times before."""
    return DEBT_SCHEDULE[min(refusals, len(DEBT_SCHEDULE) - 1)]
