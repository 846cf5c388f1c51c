"""Stripe's bracketed forms: decoded, typed, and refused when they hold a parameter the call does not have."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from sandbox.stripe.errors import bad_parameter

Params = dict[str, Any]
_KEY = re.compile(r"[^\[\]]+")


def decode(pairs: Iterable[tuple[str, str]]) -> Params:
    """`metadata[order]=9` becomes `{"metadata": {"order": "9"}}`; `expand[]=a` becomes a list."""
    params: Params = {}
    for name, value in pairs:
        parts = _KEY.findall(name)
        if not parts:
            continue
        place: Any = params
        for part in parts[:-1]:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise bad_parameter(f"Invalid object: {parts[0]}", parts[0])
        if name.endswith("[]"):
            place.setdefault(parts[-1], []).append(value)
        else:
            place[parts[-1]] = value
    return params


def read_params(params: Params, fields: Mapping[str, str], required: Iterable[str] = ()) -> Params:
    """The parameters with their types: `int`, `str`, `bool`, `map`, `range`. Raises StripeError."""
    read: Params = {}
    for name, value in params.items():
        if name == "expand":
            raise bad_parameter("The sandbox expands nothing: every reference stays an id.", "expand")
        if name not in fields:
            raise bad_parameter(f"Received unknown parameter: {name}", name, "parameter_unknown")
        read[name] = _typed(name, value, fields[name])
    for name in required:
        if read.get(name) in (None, ""):
            raise bad_parameter(f"Missing required param: {name}.", name, "parameter_missing")
    return {name: value for name, value in read.items() if value is not None}


def positive(params: Params, name: str) -> None:
    if name in params and params[name] < 1:
        message = "This value must be greater than or equal to 1."
        raise bad_parameter(message, name, "parameter_invalid_integer")


def merged_metadata(old: Mapping[str, str], given: Any) -> dict[str, str]:
    """An update adds and replaces keys; an empty value removes one; `metadata=` removes all."""
    if given == "":
        return {}
    merged = {**old, **given}
    kept = {name: value for name, value in merged.items() if value != ""}
    if len(kept) > 50 or any(len(name) > 40 or len(value) > 500 for name, value in kept.items()):
        raise bad_parameter("Metadata: at most 50 keys of 40 characters, 500 characters each.", "metadata")
    return kept


def _typed(name: str, value: Any, kind: str) -> Any:
    if kind == "map":
        return value if isinstance(value, dict) else _empty_map(name, value)
    if kind == "range" and isinstance(value, dict):
        return {bound: _integer(f"{name}[{bound}]", _text(name, limit)) for bound, limit in value.items()}
    text = _text(name, value)
    if kind in ("int", "range"):
        return _integer(name, text)
    if kind == "bool":
        if text not in ("true", "false"):
            raise bad_parameter(f"Invalid boolean: {text}", name)
        return text == "true"
    return text


def _empty_map(name: str, value: Any) -> str:
    if value == "":
        return ""
    raise bad_parameter("Invalid object", name)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise bad_parameter("Invalid string", name)
    return value


def _integer(name: str, text: str) -> int:
    if not re.fullmatch(r"-?\d{1,15}", text, re.ASCII):
        raise bad_parameter(f"Invalid integer: {text}", name, "parameter_invalid_integer")
    return int(text)
