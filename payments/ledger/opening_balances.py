"""Sellers' balances without a sum over their whole history: an opening balance and the postings since.

`carry_forward` adds to the opening balances what was posted by transactions that are over. Every posting has the number
of the transaction that inserted it (`xact_id`, set by the database). PostgreSQL knows the lowest number that is still
running: everything below it is committed and visible, or will never be. So the books are closed up to that number,
whatever the order in which transactions commit and whatever the clocks of their machines say: a posting is either in
the opening balance or counted as posted since.
"""

from collections.abc import Iterable, Sequence

import structlog
from django.db import connection, transaction
from django.db.models import Q

from payments.ledger.chart_of_accounts import SELLER
from veza.core.sweeps import Tally, beat

log = structlog.get_logger(__name__)
WORKER = "payments.carry_forward"
# A database that was restored into another cluster counts its transactions from the start again. Then the closing was
# written by a transaction of a lower number than it closes, and is void: everything is summed, until it is renewed.
_CLOSED = """
SELECT coalesce(max(closed_before), 0) FROM payments_ledgerclosing AS closing
WHERE closed_before <= pg_snapshot_xmin(pg_current_snapshot())::text::bigint
  AND ((closing.xmin::text::bigint - closed_before) & 4294967295) < 2147483648
"""
_BALANCES = f"""
WITH closed (before) AS ({_CLOSED})
SELECT account, currency, sum(amount_minor)::bigint FROM (
    SELECT account_id AS account, currency, amount_minor FROM payments_openingbalance
    WHERE account_id = ANY(%(codes)s) AND (SELECT before FROM closed) > 0
    UNION ALL
    SELECT credit_id, currency, amount_minor FROM payments_posting
    WHERE credit_id = ANY(%(codes)s) AND credit_id LIKE 'seller:%%' AND xact_id >= (SELECT before FROM closed)
    UNION ALL
    SELECT debit_id, currency, -amount_minor FROM payments_posting
    WHERE debit_id = ANY(%(codes)s) AND debit_id LIKE 'seller:%%' AND xact_id >= (SELECT before FROM closed)
) AS line GROUP BY account, currency
"""  # noqa: S608  # Of constants only.
_CARRY_FORWARD = """
WITH horizon AS (SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS before),
line AS (
    SELECT credit_id AS account, currency, amount_minor FROM payments_posting, horizon
    WHERE xact_id >= %(since)s AND xact_id < before AND credit_id LIKE 'seller:%%'
    UNION ALL
    SELECT debit_id, currency, -amount_minor FROM payments_posting, horizon
    WHERE xact_id >= %(since)s AND xact_id < before AND debit_id LIKE 'seller:%%'
),
carried AS (
    INSERT INTO payments_openingbalance AS opening (account_id, currency, amount_minor)
    SELECT account, currency, sum(amount_minor) FROM line GROUP BY account, currency
    ON CONFLICT (account_id, currency) DO UPDATE SET amount_minor = opening.amount_minor + excluded.amount_minor
    RETURNING 1
),
closed AS (UPDATE payments_ledgerclosing SET closed_before = before, closed_at = now() FROM horizon WHERE id = 1)
SELECT count(*) FROM carried
"""


def postings_of(codes: Sequence[str]) -> Q:
    """The postings of these sellers' accounts. The indexes leave out the accounts of our own, and only a query that
    says so too can use them.
    """
    debits = Q(debit__in=codes, debit__code__startswith=SELLER)
    return debits | Q(credit__in=codes, credit__code__startswith=SELLER)


def seller_balances(codes: Iterable[str]) -> dict[tuple[str, str], int]:
    """Credits minus debits of each of these sellers' accounts in each currency that it was ever posted in, in minor
    units. In one statement, so that opening balance and postings are of one moment.
    """
    with connection.cursor() as cursor:
        cursor.execute(_BALANCES, {"codes": list(codes)})
        return {(account, currency): amount for account, currency, amount in cursor.fetchall()}


def carry_forward(*, from_the_start: bool = False) -> int:
    """Add to the opening balances what was posted since they were carried forward last; how many changed.

    `from_the_start` forgets them and sums every posting: for when the proof says that one is wrong. So does a database
    that was restored into another cluster. Leaves a heartbeat.
    """
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = '10min'")  # The first time sums all there is.
        cursor.execute("INSERT INTO payments_ledgerclosing (id, closed_before) VALUES (1, 0) ON CONFLICT DO NOTHING")
        cursor.execute("SELECT 1 FROM payments_ledgerclosing FOR UPDATE")  # One at a time.
        cursor.execute(_CLOSED)
        closed_before = 0 if from_the_start else cursor.fetchone()[0]
        if closed_before == 0:
            cursor.execute("DELETE FROM payments_openingbalance")
        cursor.execute(_CARRY_FORWARD, {"since": closed_before})
        (count,) = cursor.fetchone()
    beat(WORKER, Tally(done=count))
    log.info("balances_carried_forward", accounts=count, from_the_start=closed_before == 0)
    return int(count)
