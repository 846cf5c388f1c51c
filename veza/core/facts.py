"""How a lower floor tells the upper ones what happened, without knowing them.

A fact is announced inside the transaction that makes it true. One page (`settings.REACTIONS_PAGE`) names the
functions that react, in order. A reaction never catches and never calls a provider: its error rolls the fact back.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, Protocol

from django.conf import settings
from django.db import connection
from django.utils.module_loading import import_string

from veza.core.causes import Cause


class Reaction(Protocol):
    def __call__(self, subject: Any, /, *, cause: Cause, at: datetime) -> None: ...


class UnknownFact(Exception):
    """A fact was announced that the page of reactions does not list."""


@cache
def reactions() -> Mapping[str, Sequence[Reaction]]:
    """The page, every name resolved. Raises ImportError for a name that leads nowhere."""
    page: Mapping[str, Sequence[str]] = import_string(f"{settings.REACTIONS_PAGE}.REACTIONS")
    return {fact: [import_string(name) for name in names] for fact, names in page.items()}


def announce(fact: str, subject: object, *, cause: Cause, at: datetime) -> None:
    """Run everything that follows from `fact`, in this transaction. Raises UnknownFact."""
    assert connection.in_atomic_block, "a fact is announced in the transaction that makes it true"
    page = reactions()
    if fact not in page:
        raise UnknownFact(f"{fact!r} is not on the page of reactions ({settings.REACTIONS_PAGE})")
    for react in page[fact]:
        react(subject, cause=cause, at=at)
