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


# The longest code and message that a row stores of a refusal.
CODE_LENGTH, MESSAGE_LENGTH = 100, 500


class _Storable:
    """Its texts are a provider's: whatever they hold, the outcome is stored, and no row waits for another one."""

    def __post_init__(self) -> None:
        for name, length in (("code", CODE_LENGTH), ("message", MESSAGE_LENGTH), ("why", MESSAGE_LENGTH)):
            if (text := getattr(self, name, None)) is not None:
                storable = text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
                object.__setattr__(self, name, storable[:length])


@dataclass(frozen=True)
class Refused(_Storable):
    code: str
    message: str
    call: Call


@dataclass(frozen=True)
class NotSent(_Storable):
    why: str
    call: Call


@dataclass(frozen=True)
class Unknown(_Storable):
    why: str
    call: Call


Outcome = Accepted[Value] | Refused | NotSent | Unknown
