"""Who or what makes something happen: every status change names it."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True)
class Cause:
    """`kind` is one of webhook, user, staff, sweep, reconcile, command, reaction.

    `id` is the row behind it (a delivery, a user), `actor` its name for staff, `reason` why.
    """

    kind: str
    id: UUID | None = None
    actor: str = ""
    reason: str = ""
    request_id: str = ""


def by_sweep(name: str) -> Cause:
    """The cause of everything that a sweep does."""
    return Cause("sweep", actor=name)
