"""Pages of a Stripe list: newest first, ids as cursors."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sandbox.exchange import Answer, Json, as_json
from sandbox.stripe.errors import bad_parameter, no_such

PAGING = {"limit": "int", "starting_after": "str", "ending_before": "str"}
_BOUNDS: Mapping[str, Callable[[int, int], bool]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}


def page_of(newest_first: Sequence[Json], params: Mapping[str, Any], *, url: str, what: str) -> Answer:
    """One page of the objects that passed the filters."""
    limit = params.get("limit", 10)
    if not 1 <= limit <= 100:
        raise bad_parameter("This value must be between 1 and 100.", "limit", "parameter_invalid_integer")
    items = list(newest_first)
    if after := params.get("starting_after"):
        items = items[_place(items, after, "starting_after", what) + 1 :]
    before = params.get("ending_before")
    if before:
        items = items[: _place(items, before, "ending_before", what)]
        page = items[-limit:]
    else:
        page = items[:limit]
    return as_json({"object": "list", "data": page, "has_more": len(items) > limit, "url": url})


def is_in_range(created_at: int, limits: int | Mapping[str, int] | None) -> bool:
    """`created=5` or `created[gte]=5`."""
    if limits is None:
        return True
    if isinstance(limits, int):
        return created_at == limits
    if unknown := set(limits) - set(_BOUNDS):
        message = f"Received unknown parameter: created[{unknown.pop()}]"
        raise bad_parameter(message, "created", "parameter_unknown")
    return all(_BOUNDS[comparison](created_at, limit) for comparison, limit in limits.items())


def _place(items: Sequence[Json], cursor: str, param: str, what: str) -> int:
    for place, item in enumerate(items):
        if item["id"] == cursor:
            return place
    raise no_such(what, cursor, param=param, status=400)
