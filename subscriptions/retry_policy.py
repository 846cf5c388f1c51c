"""How long this floor waits before it looks again, and for how long it claims a row: every such number, once.

When an unpaid renewal is charged again follows the settings, in `dunning.py`.
"""

from datetime import timedelta

# How long a worker keeps a subscription that it has claimed.
LEASE = timedelta(minutes=2)
# How long a charge may stay without an update before it is refreshed.
REFRESH_AFTER = timedelta(hours=1)
# A payment of the last minute may still be reported after its page has closed.
PAGE_MARGIN = timedelta(minutes=5)
