"""Up to which time each of a provider's lists has been compared with our rows: an outage leaves no gap.

Lists are of what was created in a period, and objects change long after: each is compared again when it is older.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from veza.core.models import ListComparison

DAY = timedelta(days=1)
# The provider's clock may be ahead of ours, and an object may appear on a list a little after its creation time.
AHEAD = timedelta(minutes=1)
OVERLAP = timedelta(minutes=10)


@dataclass(frozen=True)
class Period:
    """What was created from `since` to `until`, at most a day, of one list at one age."""

    list_name: str
    age_days: int
    since: datetime
    until: datetime


def due_periods(list_name: str, ages_days: Sequence[int], *, now: datetime) -> Iterator[Period]:
    """The periods of a list that have reached one of these ages since they were last compared, oldest first.

    A list that was never compared begins a day before each age.
    """
    compared = dict(ListComparison.objects.filter(list_name=list_name).values_list("age_days", "compared_until_at"))
    for age_days in ages_days:
        end = now + AHEAD - age_days * DAY
        begin = compared.get(age_days, end - DAY)
        while begin < end:
            until = min(begin + DAY, end)
            yield Period(list_name, age_days, begin - OVERLAP, until)
            begin = until


def mark_compared(period: Period) -> None:
    """Remember that every object of the period was read. A mark never goes back."""
    marks = ListComparison.objects.filter(list_name=period.list_name, age_days=period.age_days)
    if not marks.filter(compared_until_at__gte=period.until).exists():
        ListComparison.objects.update_or_create(
            list_name=period.list_name, age_days=period.age_days, defaults={"compared_until_at": period.until}
        )
