"""Is it the provider, or is it this row? While a provider fails for everybody, no row is blamed for it.

The record of calls is the memory: every process on every machine sees the same, and one answer is enough to end it.
"""

from datetime import timedelta

from veza.core.calls import latest_of

# A provider is failing when its last answers, about several rows, were none at all.
ANSWERS, ROWS = 5, 3
WITHIN = timedelta(hours=1)
_TOO_MANY, _SERVER_ERROR = 429, 500


def is_failing(provider: str) -> bool:
    """Whether the last calls to `provider`, about different rows, all timed out, broke off or ended in 429 or 5xx."""
    last = latest_of(provider, within=WITHIN).values_list("subject_id", "outcome", "status")[:ANSWERS]
    failed = [subject for subject, outcome, status in last if _failed(outcome, status)]
    return len(failed) == ANSWERS and len(set(failed)) >= ROWS


def _failed(outcome: str, status: int) -> bool:
    unanswered = status == 0 or status == _TOO_MANY or status >= _SERVER_ERROR
    return outcome in ("unknown", "not sent") and unanswered
