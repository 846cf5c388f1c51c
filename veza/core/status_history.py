"""Whether each row has the status that its history leads to.

`move` writes every status with a StatusChange. Whoever changes one by hand leaves none, and the two no longer agree.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from typing import Any, TypeVar
from uuid import UUID

from veza.core.models import StatefulRow, StatusChange

Row = TypeVar("Row", bound=StatefulRow)


def contradicted(rows: Collection[Row]) -> Iterator[tuple[Row, str]]:
    """Each of `rows` whose status is not the one that its status changes lead to, with that one. In one query.

    The order of the changes does not matter: a row is where it came to once more than it left. Rows of two machines may
    have one id, as a refund and the request that it was granted to.
    """
    visits: dict[tuple[str, UUID], Counter[str]] = defaultdict(Counter)
    changes = StatusChange.objects.filter(subject_id__in=[row.pk for row in rows])
    for machine, subject_id, start, end in changes.values_list(
        "machine", "subject_id", "from_status", "to_status"
    ).iterator():
        visits[machine, subject_id].update([end])
        visits[machine, subject_id].subtract([start])
    for row in rows:
        own = visits[row._meta.label_lower, row.pk]
        own.update([_first_status(row, own)])
        ends = sorted(status for status, count in own.items() if count)
        if ends != [row.status] or own[row.status] != 1:
            yield row, " and ".join(ends)


def _first_status(row: Any, visits: Counter[str]) -> str:
    """The status that the row was inserted with: the only one that was left more often than come to."""
    if row.begins_with_default:
        return str(type(row)._meta.get_field("status").get_default())
    return next((status for status, count in visits.items() if count < 0), row.status)
