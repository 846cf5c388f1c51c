"""Reads the parameters of a control call strictly: a misspelt name must be an error."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from sandbox.control.door import ControlError
from sandbox.exchange import Json, Request

Item = TypeVar("Item")


def read_params(request: Request, allowed_names: Iterable[str] | None = None) -> Json:
    """The JSON body, with no key outside `allowed_names`. Raises ControlError."""
    try:
        params = request.json()
    except ValueError as error:
        raise ControlError(f"the body is a JSON object: {error}") from None
    if allowed_names is not None and (unknown := set(params) - set(allowed_names)):
        raise ControlError(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(sorted(allowed_names))}")
    return params


def read_amount(params: Json, name: str, *, least: int = 1) -> int:
    value = params.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ControlError(f"{name} is an integer of minor units, at least {least}")
    return value


def read_choice(params: Json, name: str, choices: Iterable[str], default: Any = None) -> Any:
    value = params.get(name, default)
    if value not in tuple(choices):
        raise ControlError(f"{name} is one of {', '.join(choices)}")
    return value


def find_object(objects: dict[str, Item], object_id: Any, what: str) -> Item:
    if object_id not in objects:
        raise ControlError(f"there is no {what} {object_id!r}", 404)
    return objects[object_id]
