"""The port to the floors above: every message that Veza can send. `veza/wiring.py` assigns them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from veza.core.email.content import Content, Outdated


class Audience(StrEnum):
    BUYER = "buyer"
    SELLER = "seller"
    STAFF = "staff"


class Compose(Protocol):
    def __call__(self, subject_id: UUID, occasion: str, /) -> Content | Outdated: ...


@dataclass(frozen=True)
class Message:
    """`name` is stored with each e-mail and stays; `when` says in a sentence when it is sent.

    `compose` reads the subject when the e-mail's turn comes, in the recipient's language and time zone, and tells if
    it is not true any more. `sample` shows the message without any rows. `optional` messages may be unsubscribed from:
    none that the law or the recipient's money requires. One that `needs_open_account` asks for what only a user who can
    log in may do: it is dropped once their account is closed. Messages of one `series` tell the states of one thing
    (`series.py`); its `is_all_clear` ends what the others told, and is not sent to whom they told nothing.
    """

    name: str
    audience: Audience
    when: str
    compose: Compose
    sample: Callable[[], Content]
    optional: bool = False
    needs_open_account: bool = False
    series: str = ""
    is_all_clear: bool = False


_messages: dict[str, Message] = {}


def assign_messages(messages: Sequence[Message]) -> None:
    """Set every message, once, when the process starts."""
    assert len({message.name for message in messages}) == len(messages), "a message's name is its own"
    _messages.clear()
    _messages.update({message.name: message for message in messages})


def message_of(name: str) -> Message | None:
    """The message called `name`; None for one that this release does not have."""
    return _messages.get(name)


def all_messages() -> list[Message]:
    """Every message, in the order of the wiring."""
    return list(_messages.values())
