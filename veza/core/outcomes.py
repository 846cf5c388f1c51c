"""The four outcomes of a call to a provider.

Accepted  the provider did it and said so in a way we understand
Refused   the provider definitely did not do it and will not do it for this request
NotSent   the request definitely had no effect: it never left, or our key was rejected (401, 403)
Unknown   anything else: a timeout, a reset, a 5xx, an unreadable body. The money may have moved.
"""

from dataclasses import dataclass
from typing import Generic, TypeVar

Value = TypeVar("Value", covariant=True)


@dataclass(frozen=True)
class Call:
    """One exchange, for support to read: no bodies, no secrets. `status` is 0 when no answer came."""

    provider: str
    method: str
    path: str
    status: int
    milliseconds: int


@dataclass(frozen=True)
class Accepted(Generic[Value]):
    value: Value
    call: Call


@dataclass(frozen=True)
class Refused:
    code: str
    message: str
    call: Call


@dataclass(frozen=True)
class NotSent:
    why: str
    call: Call


@dataclass(frozen=True)
class Unknown:
    why: str
    call: Call


Outcome = Accepted[Value] | Refused | NotSent | Unknown
