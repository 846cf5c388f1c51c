"""What a piece of work costs between us and PostgreSQL: the statements it sends, and how often it waits for them."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from django.db import connection
from django.test.utils import CaptureQueriesContext

_ANSWERED = "\tReadyForQuery"


@dataclass
class Cost:
    """`statements` as Django saw them, and the round trips of the connection, BEGIN and COMMIT among them."""

    statements: list[str] = field(default_factory=list)
    round_trips: int = 0

    def __str__(self) -> str:
        return f"{self.round_trips} round trips, {len(self.statements)} statements:\n" + "\n".join(
            statement[: int(__import__("os").environ.get("W", "110"))] for statement in self.statements
        )


@contextmanager
def counted() -> Iterator[Cost]:
    """Count what is sent on our connection inside; libpq's own trace says when it waited for an answer."""
    cost = Cost()
    connection.ensure_connection()
    with tempfile.TemporaryFile("w+") as trace, CaptureQueriesContext(connection) as captured:
        connection.connection.pgconn.trace(trace.fileno())
        try:
            yield cost
        finally:
            connection.connection.pgconn.untrace()
        trace.seek(0)
        cost.round_trips = sum(_ANSWERED in line for line in trace)
    cost.statements = [query["sql"] for query in captured.captured_queries]
