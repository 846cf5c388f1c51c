"""Stripe's bracketed forms: decoding, types, and the refusal of unknown parameters."""

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


def read_params(params: Params, fields: Mapping[str, str], mandatory: Iterable[str] = ()) -> Params:
    """The parameters with their types: `int`, `str`, `bool`, `map`, `range`. Raises StripeError."""
    values: Params = {}
    for name, value in params.items():
        if name == "expand":
            raise bad_parameter("The sandbox does not support expand: every reference stays an id.", "expand")
        if name not in fields:
            raise bad_parameter(f"Received unknown parameter: {name}", name, "parameter_unknown")
        values[name] = _parse_value(name, value, fields[name])
    for name in mandatory:
        if values.get(name) in (None, ""):
            raise bad_parameter(f"Missing required param: {name}.", name, "parameter_missing")
    return {name: value for name, value in values.items() if value is not None}


def check_positive(params: Params, name: str) -> None:
    if name in params and params[name] < 1:
        message = "This value must be greater than or equal to 1."
        raise bad_parameter(message, name, "parameter_invalid_integer")


def merge_metadata(metadata_before: Mapping[str, str], changes: Any) -> dict[str, str]:
    """An update adds and replaces keys; an empty value removes one; `metadata=` removes all."""
    if changes == "":
        return {}
    metadata = {**metadata_before, **changes}
    metadata = {name: value for name, value in metadata.items() if value != ""}
    if len(metadata) > 50 or any(len(name) > 40 or len(value) > 500 for name, value in metadata.items()):
        raise bad_parameter("Metadata: at most 50 keys of 40 characters, 500 characters each.", "metadata")
    return metadata


def _parse_value(name: str, value: Any, kind: str) -> Any:
    if kind == "map":
        return value if isinstance(value, dict) else _empty_map(name, value)
    if kind == "range" and isinstance(value, dict):
        return {
            comparison: _integer(f"{name}[{comparison}]", _text(name, limit)) for comparison, limit in value.items()
        }
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
