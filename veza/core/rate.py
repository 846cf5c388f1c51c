"""One provider's rate, shared by every process through one small row in PostgreSQL."""

import time

from django.db import connection

_TAKE = """
INSERT INTO core_providerrate AS rate (provider, next_free_at)
VALUES (%(provider)s, clock_timestamp() + %(gap)s * interval '1 second')
ON CONFLICT (provider) DO UPDATE
    SET next_free_at = greatest(rate.next_free_at, clock_timestamp()) + %(gap)s * interval '1 second'
RETURNING extract(epoch FROM next_free_at - clock_timestamp())::float8 - %(gap)s
"""


def wait_for_turn(provider: str, *, per_second: int) -> None:
    """Sleep until `provider` may be called again, keeping all callers together at `per_second`.

    The turn is claimed in a commit of its own, so no other caller waits while this one sleeps.
    """
    with connection.cursor() as cursor:
        cursor.execute(_TAKE, {"provider": provider, "gap": 1 / per_second})
        row = cursor.fetchone()
    if row is not None and row[0] > 0:
        time.sleep(row[0])
