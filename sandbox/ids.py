"""Random ids in the providers' formats."""

from __future__ import annotations

import secrets
import string
import time

_LETTERS = string.ascii_letters + string.digits


def new_id(prefix: str, length: int = 20) -> str:
    return prefix + "".join(secrets.choice(_LETTERS) for _ in range(length))


def new_event_id() -> str:
    """`evt_` and a time-ordered UUID without dashes, as Hyperswitch generates them."""
    milliseconds = int(time.time() * 1000)
    tail = secrets.randbits(74)
    value = (milliseconds << 80) | (0x7 << 76) | ((tail >> 62) << 64) | (0b10 << 62) | (tail & ((1 << 62) - 1))
    return f"evt_{value:032x}"
