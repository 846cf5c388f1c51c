"""What an e-mail says, before it is laid out: a message is composed once, and both its text and its HTML show it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Paragraph:
    kind: ClassVar[str] = "paragraph"
    text: str


@dataclass(frozen=True)
class Notice:
    """A paragraph that stands out. `tone` is plain, good or bad."""

    kind: ClassVar[str] = "notice"
    text: str
    tone: str = "plain"


@dataclass(frozen=True)
class Line:
    """A name and its value, such as a work and its price; `detail` is smaller, below the name."""

    label: str
    value: str = ""
    detail: str = ""


@dataclass(frozen=True)
class Table:
    """Lines below one another; those of `totals` are at the end and stand out."""

    kind: ClassVar[str] = "table"
    lines: Sequence[Line]
    totals: Sequence[Line] = ()
    title: str = ""


@dataclass(frozen=True)
class Button:
    """A link. Its origin has to be one of EMAIL_LINK_ORIGINS."""

    kind: ClassVar[str] = "button"
    label: str
    url: str


Block = Paragraph | Notice | Table | Button


@dataclass(frozen=True)
class Content:
    """An e-mail in the recipient's language. `amount` is shown large below the headline, as on the payment page."""

    subject_line: str
    headline: str
    blocks: Sequence[Block]
    amount: str = ""


@dataclass(frozen=True)
class Outdated:
    """What an e-mail would have said is not true any more: it is dropped, and support sees `why`."""

    why: str
