"""Real envelopes with parts of them replaced: other types, other shapes, other rows' ids, absurd sizes."""

import copy
import json
from collections.abc import Sequence
from random import Random
from typing import Any

DEEP: Any = 0
for _ in range(30):
    DEEP = [DEEP]
SHAPES: Sequence[Any] = (
    None, True, False, [], {}, [None], [[]], [{}], {"id": 1}, [1, "2", None], {"data": 5}, {"data": [5]}, DEEP,
)  # fmt: skip
NUMBERS: Sequence[Any] = (
    0, -1, 1, 12_00, 1.0, 12.5, 1e300, float("nan"), 2**31, 2**53, 2**63 - 1, 2**63, 10**30, "12", "1e5", "-1", "٣",
)  # fmt: skip
TEXTS: Sequence[Any] = (
    "", " ", "x" * 65, "x" * 300, "x" * 5_000, "é", "💥", "\u202e", "\n", "a\0b", "\ud800", "İ", "null", "EUR", "USD",
    "XXX", "jpy", "succeeded", "failed", "review", "dispute_lost", "active", "rejected.fraud", "paid",
)  # fmt: skip
TIMES: Sequence[Any] = (
    "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "2026-02-30T00:00:00Z",
    "2026-01-01", "2026-01-01T00:00:00", "2099-12-31T23:59:59.999Z", 1, 10**9, 10**11, 2**40,
)  # fmt: skip


def mutate(envelope: Any, random: Random, *, pool: Sequence[Any]) -> bytes:
    """The envelope's bytes after one to three changes. `pool` has values of other envelopes: ids, types, objects."""
    root = {"": copy.deepcopy(envelope)}
    for _ in range(random.randint(1, 3)):
        _change(root, random, pool)
    raw = json.dumps(root.get("", ""), ensure_ascii=random.random() < 0.5).encode("utf-8", "surrogatepass")
    if random.random() < 0.03:
        raw = raw[: random.randrange(len(raw) + 1)]
    return raw


def _change(root: dict[str, Any], random: Random, pool: Sequence[Any]) -> None:
    holder, key = random.choice(list(_places(root)))
    value = holder[key]
    match random.randrange(8):
        case 0 if isinstance(holder, dict) and key:
            del holder[key]
        case 1:
            holder[key] = [value]
        case 2:
            holder[key] = {"object": value}
        case 3:
            holder[key] = str(value)
        case 4 if isinstance(holder, dict) and key:
            holder[f"{key} "] = holder.pop(key)
        case 5:
            holder[key] = copy.deepcopy(random.choice(pool))
        case _:
            holder[key] = copy.deepcopy(random.choice(random.choice((SHAPES, NUMBERS, TEXTS, TIMES))))


def _places(node: Any) -> Any:
    keys = list(node) if isinstance(node, dict) else list(range(len(node)))
    for key in keys:
        yield node, key
        if isinstance(node[key], dict | list):
            yield from _places(node[key])


def values_in(node: Any) -> list[Any]:
    """Every value inside an envelope, to put where another belongs."""
    return [holder[key] for holder, key in _places({"": node})]
