"""A request as read from the wire, and the answer to it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

Json = dict[str, Any]


def to_bytes(value: object) -> bytes:
    """Compact JSON with raw UTF-8 and no trailing newline: the form in which webhooks are signed."""
    # "replace": a lone surrogate smuggled in as \ud800 must not end the answer that echoes it.
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")


@dataclass(frozen=True)
class Request:
    """One request. Header names are lower case; `base_url` is the address that the caller used."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    base_url: str
    client: str
    request_id: str

    def query_pairs(self) -> list[tuple[str, str]]:
        return parse_qsl(self.query, keep_blank_values=True)

    def query_value(self, name: str) -> str | None:
        return next((value for key, value in self.query_pairs() if key == name), None)

    def json(self) -> Json:
        """The body as a JSON object; empty when there is none. Raises ValueError."""
        value = json.loads(self.body or b"{}")
        if not isinstance(value, dict):
            raise ValueError("the body is a JSON object")  # noqa: TRY004 - one error for every unreadable body
        return value

    def form_pairs(self) -> list[tuple[str, str]]:
        return parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True)

    def form_value(self, name: str) -> str:
        """One field of an ordinary HTML form; empty when absent."""
        return next((value for key, value in self.form_pairs() if key == name), "")


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"

    def with_headers(self, extra: Mapping[str, str]) -> Answer:
        return Answer(self.status, self.body, {**self.headers, **extra}, self.content_type)


@dataclass(frozen=True)
class Reply:
    """An answer, and how much of it is sent: the whole, half, or nothing."""

    answer: Answer
    portion: str = "whole"  # whole | half | nothing


Execute = Callable[[], Answer]


def as_json(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(status, to_bytes(value), headers or {})


def see_other(location: str) -> Answer:
    return Answer(303, b"", {"Location": location}, "text/plain")
