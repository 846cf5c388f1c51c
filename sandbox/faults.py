"""Faults on the wire, set through the control API: before or after the effect of a call."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field
from typing import Any

KINDS = ("latency", "status", "drop", "half_body", "wrong_json", "html")
HTML = b"<!doctype html><html><head><title>502 Bad Gateway</title></head><body>502 Bad Gateway</body></html>"


class InvalidFault(ValueError):
    """Invalid parameters for a fault."""


@dataclass
class Fault:
    kind: str
    path: re.Pattern[str]
    method: str | None = None
    when: str = "before"  # the effect: before | after
    status: int = 500
    body: Any = None  # None: the provider's own body
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    times: int = 1  # 0: until removed
    use_count: int = 0
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
            "used": self.use_count,
        }


class Faults:
    """The armed faults. At most one acts on a call: the oldest that matches."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._numbers = itertools.count(1)

    def arm(self, params: dict[str, Any]) -> Fault:
        fault = read_fault(params)
        fault.id = next(self._numbers)
        self._faults.append(fault)
        return fault

    def take(self, method: str, path: str) -> Fault | None:
        """Return the fault for this call and count its use. None: no fault."""
        fault = next((candidate for candidate in self._faults if candidate.matches(method, path)), None)
        if fault is None:
            return None
        fault.use_count += 1
        if fault.use_count == fault.times:
            self._faults.remove(fault)
        return fault

    def clear(self) -> None:
        self._faults.clear()

    def as_json(self) -> list[dict[str, Any]]:
        return [fault.as_json() for fault in self._faults]


def read_fault(params: dict[str, Any]) -> Fault:
    """Parse the parameters of a fault. Raises InvalidFault, so that a misspelt name fails the test."""
    fields = {"fault", "method", "path", "when", "status", "body", "headers", "seconds", "times"}
    if unknown := set(params) - fields:
        raise InvalidFault(f"unknown: {', '.join(sorted(unknown))}")
    if params.get("fault") not in KINDS:
        raise InvalidFault(f"fault is one of {', '.join(KINDS)}")
    if params.get("when", "before") not in ("before", "after"):
        raise InvalidFault("when is before or after (the effect)")
    try:
        path = re.compile(params.get("path", ""))
        status, times = int(params.get("status", 500)), int(params.get("times", 1))
        seconds = float(params.get("seconds", 0))
        headers = {str(name): str(value) for name, value in (params.get("headers") or {}).items()}
    except (re.error, TypeError, ValueError, AttributeError) as error:
        raise InvalidFault(str(error)) from None
    if not 200 <= status <= 599 or times < 0 or seconds < 0:
        raise InvalidFault("status is 200..599; times and seconds are not negative")
    method = params.get("method")
    return Fault(
        kind=params["fault"],
        path=path,
        method=str(method).upper() if method else None,
        when=params.get("when", "before"),
        status=status,
        body=params.get("body"),
        headers=headers,
        seconds=seconds,
        times=times,
    )
