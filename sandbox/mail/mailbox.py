"""The messages that were accepted, and the faults that are armed for the next ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.parser import BytesHeaderParser
from typing import Any

from sandbox.clock import now, stamp

# What may go wrong with a message: its recipient refused for good or for now, the connection closed instead of the
# message taken (421), or before or after it was stored, a slow answer, the log-in rejected.
FAULTS = ("refuse", "defer", "close", "drop_before", "drop_after", "slow", "reject_login")


class InvalidMailFault(ValueError):
    """An unknown fault, or a count that is none."""


@dataclass
class MailFault:
    kind: str
    times: int = 1
    seconds: float = 1.0


@dataclass(frozen=True)
class Mail:
    """One message as it arrived."""

    number: int
    sender: str
    recipients: tuple[str, ...]
    content: bytes
    at: str

    def parsed(self) -> EmailMessage:
        return message_from_bytes(self.content, policy=policy.default)

    def message_id(self) -> str:
        return str(BytesHeaderParser(policy=policy.default).parsebytes(self.content)["Message-ID"])

    def body(self, subtype: str) -> str:
        part = self.parsed().get_body((subtype,))
        return str(part.get_content()) if part is not None else ""

    def as_json(self) -> dict[str, Any]:
        parsed = self.parsed()
        return {
            "number": self.number,
            "sender": self.sender,
            "recipients": list(self.recipients),
            "headers": {name: str(value) for name, value in parsed.items()},
            "text": self.body("plain"),
            "html": self.body("html"),
            "at": self.at,
        }


@dataclass
class Mailbox:
    mails: list[Mail] = field(default_factory=list)
    faults: list[MailFault] = field(default_factory=list)
    log_ins: int = 0
    connections: int = 0

    def deliver(self, sender: str, recipients: list[str], content: bytes) -> None:
        self.mails.append(Mail(len(self.mails) + 1, sender, tuple(recipients), content, stamp(now())))

    def arm(self, params: Mapping[str, Any]) -> MailFault:
        """Arm a fault from `fault`, `times` and `seconds`. Raises InvalidMailFault."""
        kind, times, seconds = params.get("fault"), params.get("times", 1), params.get("seconds", 1.0)
        if kind not in FAULTS:
            raise InvalidMailFault(f"fault is one of {', '.join(FAULTS)}")
        if not isinstance(times, int) or times < 1 or not isinstance(seconds, int | float):
            raise InvalidMailFault("times is a count and seconds a number")
        fault = MailFault(str(kind), times, float(seconds))
        self.faults.append(fault)
        return fault

    def take(self, *kinds: str) -> MailFault | None:
        """The first armed fault of one of `kinds`, used once."""
        for fault in self.faults:
            if fault.kind in kinds:
                fault.times -= 1
                if not fault.times:
                    self.faults.remove(fault)
                return fault
        return None
