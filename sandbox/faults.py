"""Faults on the wire, asked for through the control API: before or after the effect of a call."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field
from typing import Any

KINDS = ("latency", "status", "drop", "half_body", "wrong_json", "html")
HTML = b"<!doctype html><html><head><title>502 Bad Gateway</title></head><body>502 Bad Gateway</body></html>"


class BadFault(ValueError):
    """A fault that cannot be armed as asked."""


@dataclass
class Fault:
    kind: str
    path: re.Pattern[str]
    method: str | None = None
    when: str = "before"  # the effect: before | after
    status: int = 500
    body: Any = None  # None: what the provider itself would say
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    times: int = 1  # 0: until removed
    used: int = 0
    id: int = 0

    def matches(self, method: str, path: str) -> bool:
        return self.method in (None, method) and bool(self.path.search(path))

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "fault": self.kind,
            "method": self.method,
            "path": self.path.pattern,
            "when": self.when,
            "status": self.status,
            "seconds": self.seconds,
            "times": self.times,
            "used": self.used,
        }


class Faults:
    """The armed faults. At most one acts on a call: the oldest that matches."""

    def __init__(self) -> None:
        self._armed: list[Fault] = []
        self._numbers = itertools.count(1)

    def arm(self, asked: dict[str, Any]) -> Fault:
        fault = read_fault(asked)
        fault.id = next(self._numbers)
        self._armed.append(fault)
        return fault

    def take(self, method: str, path: str) -> Fault | None:
        """The fault for this call, counted as used. None: all is well."""
        fault = next((armed for armed in self._armed if armed.matches(method, path)), None)
        if fault is None:
            return None
        fault.used += 1
        if fault.used == fault.times:
            self._armed.remove(fault)
        return fault

    def clear(self) -> None:
        self._armed.clear()

    def as_json(self) -> list[dict[str, Any]]:
        return [fault.as_json() for fault in self._armed]


def read_fault(asked: dict[str, Any]) -> Fault:
    """Raises BadFault, so that a misspelt fault is not a test that passes for nothing."""
    known = {"fault", "method", "path", "when", "status", "body", "headers", "seconds", "times"}
    if unknown := set(asked) - known:
        raise BadFault(f"unknown: {', '.join(sorted(unknown))}")
    if asked.get("fault") not in KINDS:
        raise BadFault(f"fault is one of {', '.join(KINDS)}")
    if asked.get("when", "before") not in ("before", "after"):
        raise BadFault("when is before or after (the effect)")
    try:
        path = re.compile(asked.get("path", ""))
        status, times = int(asked.get("status", 500)), int(asked.get("times", 1))
        seconds = float(asked.get("seconds", 0))
        headers = {str(name): str(value) for name, value in (asked.get("headers") or {}).items()}
    except (re.error, TypeError, ValueError, AttributeError) as error:
        raise BadFault(str(error)) from None
    if not 200 <= status <= 599 or times < 0 or seconds < 0:
        raise BadFault("status is 200..599; times and seconds are not negative")
    method = asked.get("method")
    return Fault(
        kind=asked["fault"],
        path=path,
        method=str(method).upper() if method else None,
        when=asked.get("when", "before"),
        status=status,
        body=asked.get("body"),
        headers=headers,
        seconds=seconds,
        times=times,
    )
