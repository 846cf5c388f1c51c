"""How long this floor waits before it tries again, and for how long it claims a row: every such number, once."""

from collections.abc import Sequence
from datetime import timedelta

# Resending: how long after each unanswered attempt a payment or refund is sent or refreshed again; the last repeats.
RETRY_SCHEDULE = (timedelta(seconds=15), timedelta(minutes=1), timedelta(minutes=5))

# How often a refund that waits for the end of a doubt about its payment looks whether it has ended.
DOUBT_RECHECK_AFTER = timedelta(minutes=5)

# Replaying webhooks: the same for a delivery whose handler failed or that came too early, until REPLAY_FOR is over.
REPLAY_SCHEDULE = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 10, 30, 60))
REPLAY_FOR = timedelta(hours=24)

# How long a worker keeps a row that it has claimed. The reconciler makes several slow calls at once.
LEASE = timedelta(minutes=2)
RECONCILE_LEASE = timedelta(minutes=5)

# Expiry: an unpaid page is closed this long after its session, so that a buyer who pays in the last second can
# still finish; and this long after an attempt to close it that brought no answer.
CLOSE_GRACE = timedelta(minutes=5)
CLOSE_AGAIN_AFTER = timedelta(minutes=5)

# Hyperswitch inserts a charge before it confirms it: one that was sent this long ago is not being confirmed any more.
UNCONFIRMED_AFTER = timedelta(minutes=5)

# A payment that Hyperswitch does not know was cancelled: a delayed call may still make it, so it is read again.
LOOK_AGAIN_AFTER = timedelta(minutes=5)

# A saved method that Hyperswitch refuses to delete is tried again this much later.
REFUSED_DELETION_AFTER = timedelta(days=1)
# A set-up of a method whose bank has not answered when its page closes is read again this much later.
UNDECIDED_SETUP_AFTER = timedelta(hours=6)

# Reconciliation: the first pause after a refresh without an answer; it doubles up to RECONCILE_INTERVAL.
FIRST_PAUSE = timedelta(minutes=1)

# A payment that Hyperswitch's staff have not decided about is read this often.
UNDECIDED_PAYMENT_INTERVAL = timedelta(days=1)

# Two reads this far apart have to agree before one takes away money or undoes a success.
CONFIRM_AFTER = timedelta(minutes=1)
# For how long a success without an amount is only refreshed; then a review item asks finance for the amount.
AMOUNT_MISSING_FOR = timedelta(hours=1)

# Disputes are refreshed daily while they are open or young: a bank may reopen one that has ended. One whose refresh
# brought no answer is refreshed sooner.
DISPUTE_REFRESH_INTERVAL = timedelta(days=1)
DISPUTE_REFRESH_FOR = timedelta(days=540)
UNANSWERED_DISPUTE_AFTER = timedelta(minutes=10)


def retry_after(attempts: int) -> timedelta:
    """How long to wait before resending a row that has been sent `attempts` times."""
    return _step(RETRY_SCHEDULE, attempts)


def replay_after(attempts: int) -> timedelta:
    """How long to wait before replaying a delivery that has been handled `attempts` times."""
    return _step(REPLAY_SCHEDULE, attempts - 1)


def _step(schedule: Sequence[timedelta], number: int) -> timedelta:
    assert number >= 0, "a schedule begins with the first attempt"
    return schedule[min(number, len(schedule) - 1)]
