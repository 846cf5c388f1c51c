"""The plans of the statements that a piece of code runs."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.db import connection


@dataclass
class Plans:
    """The number of statements, and the nodes of their plans as PostgreSQL describes them."""

    nodes: list[dict[str, Any]] = field(default_factory=list)
    statements: int = 0

    @property
    def indexes(self) -> set[str]:
        """The indexes that were used."""
        return {node["Index Name"] for node in self.nodes if "Index Name" in node}

    @property
    def tables_read_whole(self) -> set[str]:
        """The tables that were read from the first row to the last."""
        return {node["Relation Name"] for node in self.nodes if node["Node Type"] == "Seq Scan"}

    def add(self, node: dict[str, Any]) -> None:
        self.nodes.append(node)
        for child in node.get("Plans", []):
            self.add(child)


@contextmanager
def explained(ways: Sequence[tuple[str, ...]] = ((),)) -> Iterator[Plans]:
    """Explains each statement before it is run inside: once for each of `ways`, the planner's settings that are off."""
    plans = Plans()

    def explain(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.split()[0] in ("SELECT", "WITH", "UPDATE", "DELETE"):
            plans.statements += 1
            with connection.connection.cursor() as cursor:  # Not Django's: that would be explained too.
                for way in ways:
                    plans.add(_plan(cursor, sql, params, without=way))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(explain):
        yield plans


def _plan(cursor: Any, sql: str, params: Any, *, without: tuple[str, ...]) -> dict[str, Any]:
    for setting in without:
        cursor.execute(f"SET {setting} = off")
    (found,) = cursor.execute("EXPLAIN (FORMAT JSON) " + sql, params).fetchone()
    for setting in without:
        cursor.execute(f"RESET {setting}")
    plan: dict[str, Any] = (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]
    return plan
