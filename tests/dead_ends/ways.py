"""The three ways on from a state in which a row waits, and how each is checked."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from django.contrib import admin

from veza.core.admin_actions import AdminAction
from veza.core.models import ReviewItem


@dataclass(frozen=True)
class Worker:
    """A sweep moves the row on, at the latest when the time in its column `due` has come."""

    task: str
    due: str

    def covers(self, row: Any) -> bool:
        """Whether the row will be found by the sweep."""
        return getattr(row, self.due) is not None


@dataclass(frozen=True)
class Review:
    """An open review item of one of these kinds, about the row or `of` others, which an action on their page ends."""

    kinds: tuple[str, ...]
    actions: tuple[type[AdminAction[Any]], ...]
    of: Callable[[Any], Iterable[Any]] = lambda row: [row]

    def covers(self, row: Any) -> bool:
        subject_ids = [one.pk for one in self.of(row)]
        items = ReviewItem.objects.filter(kind__in=self.kinds, subject_id__in=subject_ids)
        return items.filter(closed_at__isnull=True).exists()

    def offers(self, action: type[AdminAction[Any]], row: Any) -> bool:
        """Whether the action can be found by whoever reads the review item."""
        return any(is_offered(action, one) for one in self.of(row))


@dataclass(frozen=True)
class Follows:
    """The row waits for others, which wait in a state of their own: the order for its payment."""

    others: Callable[[Any], Iterable[Any]]

    def covers(self, row: Any) -> bool:
        from tests.dead_ends.table import is_covered  # The table is made of these.

        return any(is_covered(other) for other in self.others(row))


Way = Worker | Review | Follows


def is_offered(action: type[AdminAction[Any]], row: Any) -> bool:
    """Whether the row's page in the back-office has the action, and it makes sense for the row as it is."""
    page = admin.site._registry.get(type(row))
    return any(type(one) is action and one.is_available(row) for one in getattr(page, "row_actions", ()))
