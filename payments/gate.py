"""Turned away at Hyperswitch's gate (401, 403): the key is at fault, not the row, and every other row would fare alike.

So one case stands for all of them, nothing is counted against a row, and a sweep ends there until its next tick.
"""

from typing import Any

import structlog
from django.db import connection

from veza.core.cases import open_case
from veza.core.models import OperatorCase, StatefulRow
from veza.core.outcomes import NotSent, Outcome

log = structlog.get_logger(__name__)
TURNED_AWAY = "hyperswitch_turned_us_away"
# What asking came to.
RESULT = "turned away"


def turned_away(outcome: Outcome[Any] | None) -> bool:
    """Whether the provider answered that it does not know us."""
    return isinstance(outcome, NotSent) and outcome.call.status > 0


def tell_if_turned_away(outcome: Outcome[Any] | None, row: StatefulRow) -> None:
    """Open the one case if we were turned away over `row`. A transaction does it last: it may wait for others."""
    if not isinstance(outcome, NotSent) or not turned_away(outcome):
        return
    log.error(TURNED_AWAY, why=outcome.why)
    standing = OperatorCase.objects.filter(kind=TURNED_AWAY, closed_at__isnull=True)
    if standing.exists():
        return
    with connection.cursor() as cursor:  # Calls go side by side: all of them meet the gate in the same moment.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [TURNED_AWAY])
    if not standing.exists():
        what_to_do = "Check HYPERSWITCH_API_KEY. Nothing is lost: every row goes on by itself afterwards."
        open_case(TURNED_AWAY, row, why=outcome.why, what_to_do=what_to_do)


def is_shut(result: str) -> bool:
    """Whether asking came to that: a tick ends there, every other row would fare alike."""
    return result == RESULT
