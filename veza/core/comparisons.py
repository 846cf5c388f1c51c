"""Up to which time each of a provider's lists has been compared with our rows: an outage leaves no gap.

Lists are of what was created in a period, and objects change long after: each is compared again when it is older.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from veza.core.models import ListComparison
from veza.core.outcomes import NotSent, Refused, Unknown
from veza.core.sweeps import Tally

DAY = timedelta(days=1)
# The provider's clock may be ahead of ours, and an object may appear on a list a little after its creation time.
AHEAD = timedelta(minutes=1)
OVERLAP = timedelta(minutes=10)


@dataclass
class Findings:
    """How many objects were on the lists and how many calls that took, how many of the objects were imported, read by
    id because they differed, or failed, whether every page could be read, and the last error.
    """

    entries: int = 0
    calls: int = 0
    imports: int = 0
    refreshed: int = 0
    failures: int = 0
    complete: bool = True
    last_error: str = ""

    def add_failure(self, why: str) -> None:
        """Count an object that could not be compared."""
        self.failures += 1
        self.last_error = why

    def add_unread_list(self, outcome: NotSent | Unknown | Refused) -> None:
        """Note that a page of a list could not be read."""
        self.complete = False
        self.last_error = f"{outcome.call.path} could not be read (status {outcome.call.status})"

    def tally(self) -> Tally:
        """The same for a heartbeat."""
        return Tally(self.entries, self.failures + (not self.complete), self.last_error)


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
