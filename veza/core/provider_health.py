"""What every row would meet at a provider's gate: it turns us away (401, 403), or it fails for everybody.

The key or the provider is at fault then, and no row: nothing is counted against one, and a sweep ends there until its
next tick. One case stands for all that were turned away; it closes by itself when the provider lets us in again.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from django.db import connection

from veza.core.breaker import is_failing
from veza.core.calls import latest_of
from veza.core.models import ReviewItem, StatefulRow
from veza.core.outcomes import NotSent, Outcome, Unknown
from veza.core.reviews import close_reviews, open_review

log = structlog.get_logger(__name__)
# What asking came to.
AUTH_REJECTED = "turned away"
PROVIDER_DOWN = "failing for everybody"
_LATELY = timedelta(hours=1)


def auth_rejected(outcome: Outcome[Any] | None) -> bool:
    """Whether the provider answered that it does not know us."""
    return isinstance(outcome, NotSent) and outcome.call.status > 0


def must_stop(result: str) -> bool:
    """Whether asking came to what every other row would meet as well: a tick ends there."""
    return result in (AUTH_REJECTED, PROVIDER_DOWN)


@dataclass(frozen=True)
class ProviderHealth:
    """Where one provider asks for our key: its name in the record of calls, and the setting that holds the key."""

    provider: str
    setting: str

    @property
    def case(self) -> str:
        return f"{self.provider}_turned_us_away"

    def stop_reason(self, outcome: Outcome[Any] | None) -> str:
        """What `outcome`, which is on record, came to if every other row would meet the same; else nothing."""
        if auth_rejected(outcome):
            return AUTH_REJECTED
        unanswered = isinstance(outcome, NotSent | Unknown)
        return PROVIDER_DOWN if unanswered and self.is_down() else ""

    def is_down(self) -> bool:
        """Whether the provider, and no row, is why its last calls came to nothing."""
        return is_failing(self.provider)

    def calls_at_once(self, usually: int) -> int:
        """How many calls a tick has under way: one while the provider fails for everybody, since it only knocks."""
        return 1 if self.is_down() else usually

    def open_review_if_rejected(self, outcome: Outcome[Any] | None, row: StatefulRow) -> None:
        """Open the one case if we were turned away over `row`. A transaction does it last: it may wait for others."""
        if not isinstance(outcome, NotSent) or not auth_rejected(outcome):
            return
        log.error(self.case, why=outcome.why)
        if self._case_stands():
            return
        with connection.cursor() as cursor:  # Calls go side by side: all of them meet the gate in the same moment.
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [self.case])
        if not self._case_stands():
            what_to_do = f"Check {self.setting}. Nothing is lost: every row goes on by itself afterwards."
            open_review(self.case, row, why=outcome.why, what_to_do=what_to_do)

    def close_review_if_accepted(self) -> None:
        """Close the case once the provider's last answer was another one. For sweeps: it costs a query."""
        if not self._case_stands():
            return
        last = latest_of(self.provider, within=_LATELY).filter(status__gt=0).first()
        if last is not None and last.outcome != "not sent":
            close_reviews(self.case, note=f"Let in again: {last.method} {last.path} was {last.outcome}.")

    def _case_stands(self) -> bool:
        return ReviewItem.objects.filter(kind=self.case, closed_at__isnull=True).exists()
