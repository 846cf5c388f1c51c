"""The plans of the statements that a piece of code runs."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.db import connection


@dataclass
class Plans:
    """The nodes of every plan, as PostgreSQL describes them."""

    nodes: list[dict[str, Any]] = field(default_factory=list)

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
def explained(*, without_seq_scans: bool = False) -> Iterator[Plans]:
    """Explains each statement before it is run inside. Without sequential scans a table without rows has plans too."""
    plans = Plans()

    def explain(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.lstrip().partition(" ")[0].strip() in ("SELECT", "WITH", "UPDATE", "DELETE"):
            cursor = context["cursor"].cursor
            cursor.execute("EXPLAIN (FORMAT JSON) " + sql, params)
            (found,) = cursor.fetchone()
            plans.add((json.loads(found) if isinstance(found, str) else found)[0]["Plan"])
        return execute(sql, params, many, context)

    with connection.cursor() as cursor:
        cursor.execute(f"SET enable_seqscan = {'off' if without_seq_scans else 'on'}")
        try:
            with connection.execute_wrapper(explain):
                yield plans
        finally:
            cursor.execute("RESET enable_seqscan")
