"""Whether a provider works for us at all: it may reject our key (401, 403), or be down for every row.

Then the key or the provider is at fault and no row: no retry is counted against a row, and a sweep ends until its next
tick. The record of calls is the memory, shared by every process on every machine; a single answer ends an outage. One
review item stands for all rejected calls, and closes by itself when the provider accepts our key again.
"""

from dataclasses import dataclass
from datetime import timedelta

import structlog
from django.db import connection

from veza.core.calls import latest_of
from veza.core.models import ReviewItem, StatefulRow
from veza.core.outcomes import NotSent, Outcome, Unknown
from veza.core.reviews import close_reviews, open_review

log = structlog.get_logger(__name__)
# Why a sweep ends before its rows do.
AUTH_REJECTED = "authentication rejected"
PROVIDER_DOWN = "provider is down"
# A provider is down when its last ANSWERS calls, about at least ROWS different rows, got no usable answer.
ANSWERS, ROWS = 5, 3
WITHIN = timedelta(hours=1)
_TOO_MANY, _SERVER_ERROR = 429, 500


def auth_rejected(outcome: Outcome[object] | None) -> bool:
    """Whether the provider rejected our key."""
    return isinstance(outcome, NotSent) and outcome.call.status > 0


def must_stop(result: str) -> bool:
    """Whether `result` is one that every other row would get as well: a tick ends there."""
    return result in (AUTH_REJECTED, PROVIDER_DOWN)


def is_provider_down(provider: str) -> bool:
    """Whether the last calls to `provider`, about different rows, all timed out, broke off or ended in 429 or 5xx."""
    calls = latest_of(provider, within=WITHIN).values_list("subject_id", "outcome", "status")[:ANSWERS]
    subjects = [subject for subject, outcome, status in calls if _is_unanswered(outcome, status)]
    return len(subjects) == ANSWERS and len(set(subjects)) >= ROWS


def _is_unanswered(outcome: str, status: int) -> bool:
    no_answer = status == 0 or status == _TOO_MANY or status >= _SERVER_ERROR
    return outcome in ("unknown", "not sent") and no_answer


@dataclass(frozen=True)
class ProviderHealth:
    """The health of one provider: its name in the record of calls, and the setting that holds our key."""

    provider: str
    setting: str

    @property
    def review_kind(self) -> str:
        return f"{self.provider}_auth_rejected"

    def stop_reason(self, outcome: Outcome[object] | None) -> str:
        """Why a tick must end after `outcome`, which is on record: every other row would get the same. Else empty."""
        if auth_rejected(outcome):
            return AUTH_REJECTED
        return PROVIDER_DOWN if isinstance(outcome, NotSent | Unknown) and self.is_down() else ""

    def is_down(self) -> bool:
        """Whether the provider, and no row, is the reason why its last calls failed."""
        return is_provider_down(self.provider)

    def calls_at_once(self, usually: int) -> int:
        """How many calls a tick has under way: one while the provider is down, as a probe."""
        return 1 if self.is_down() else usually

    def open_review_if_rejected(self, outcome: Outcome[object] | None, row: StatefulRow) -> None:
        """Open the one review item if our key was rejected for `row`. Comes last in a transaction: it may wait for
        other processes.
        """
        if not isinstance(outcome, NotSent) or not auth_rejected(outcome):
            return
        log.error(self.review_kind, why=outcome.why)
        if self._has_open_review():
            return
        with connection.cursor() as cursor:  # Calls run side by side: all of them are rejected in the same moment.
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [self.review_kind])
        if not self._has_open_review():
            what_to_do = f"Check {self.setting}. Nothing is lost: every row is retried automatically afterwards."
            open_review(self.review_kind, row, why=outcome.why, what_to_do=what_to_do)

    def close_review_if_accepted(self) -> None:
        """Close the review item once the provider's last answer was another one. For sweeps: it costs a query."""
        if not self._has_open_review():
            return
        last = latest_of(self.provider, within=WITHIN).filter(status__gt=0).first()
        if last is not None and last.outcome != "not sent":
            close_reviews(self.review_kind, note=f"Key accepted: {last.method} {last.path} was {last.outcome}.")

    def _has_open_review(self) -> bool:
        return ReviewItem.objects.filter(kind=self.review_kind, closed_at__isnull=True).exists()
