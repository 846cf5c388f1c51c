"""Strict JSON for requests about money: what two parsers could read differently is refused.

Python's own reader keeps the last of two equal keys, invents NaN and infinity, and lets text through that
PostgreSQL cannot store. A body read here holds none of that.
"""

import json
import math
from typing import Any

MAX_DEPTH = 40
# Beyond 64 bits nothing of ours can hold the number; unbounded, a long one costs quadratic time to read.
MAX_DIGITS = 40


def strict_json(raw: bytes) -> object:
    """The value in `raw`. Raises ValueError, its text a sentence for the sender, where in doubt.

    Refused: bytes that are not UTF-8, a key given twice, NaN and infinity, numbers of absurd length, NUL and
    lone surrogates in text, and more than MAX_DEPTH levels.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("The body is not UTF-8.") from None
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_refuse_constant,
            parse_float=_finite,
            parse_int=_short_int,
        )
    except json.JSONDecodeError as error:
        raise ValueError(f"The body is not JSON: {error.msg} at line {error.lineno} column {error.colno}.") from None
    except RecursionError:
        raise ValueError(f"The body is nested deeper than {MAX_DEPTH} levels.") from None
    _check(value)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    item = dict(pairs)
    if len(item) != len(pairs):
        raise ValueError("The body gives a key twice in one object.")
    return item


def _refuse_constant(text: str) -> object:
    raise ValueError(f"The body holds {text}, which is not JSON.")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("The body holds a number that is too large.")
    return number


def _short_int(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError("The body holds a number that is too large.")
    return int(text)


def _check(value: object) -> None:
    """Look at every text and every level, without recursion: the sender chooses the depth."""
    waiting: list[tuple[object, int]] = [(value, 1)]
    while waiting:
        item, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise ValueError(f"The body is nested deeper than {MAX_DEPTH} levels.")
        if isinstance(item, str):
            _check_text(item)
        elif isinstance(item, list):
            waiting += [(inner, depth + 1) for inner in item]
        elif isinstance(item, dict):
            waiting += [(key, depth) for key in item]
            waiting += [(inner, depth + 1) for inner in item.values()]


def _check_text(text: str) -> None:
    if "\0" in text:
        raise ValueError("The body holds a NUL character.")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("The body holds half a character (a lone surrogate).") from None
