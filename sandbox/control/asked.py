"""Reading a control call, strictly: a misspelt word must not pass as a wish fulfilled."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from sandbox.control.door import ControlError
from sandbox.exchange import Json, Request

Found = TypeVar("Found")


def read_asked(request: Request, allowed: Iterable[str] | None = None) -> Json:
    """The JSON body, with no key outside `allowed`. Raises ControlError."""
    try:
        asked = request.json()
    except ValueError as error:
        raise ControlError(f"the body is a JSON object: {error}") from None
    if allowed is not None and (unknown := set(asked) - set(allowed)):
        raise ControlError(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(sorted(allowed))}")
    return asked


def amount_in(asked: Json, name: str, *, least: int = 1) -> int:
    value = asked.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ControlError(f"{name} is an integer of minor units, at least {least}")
    return value


def one_of(asked: Json, name: str, choices: Iterable[str], default: Any = None) -> Any:
    value = asked.get(name, default)
    if value not in tuple(choices):
        raise ControlError(f"{name} is one of {', '.join(choices)}")
    return value


def known(objects: dict[str, Found], object_id: Any, what: str) -> Found:
    if object_id not in objects:
        raise ControlError(f"there is no {what} {object_id!r}", 404)
    return objects[object_id]
