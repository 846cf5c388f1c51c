"""Keys that sort by time, and the 30-character ids a provider knows our rows by."""

import secrets
import time
from datetime import timedelta
from uuid import UUID

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_VALUE = {letter: value for value, letter in enumerate(_ALPHABET)}
_BODY = 26


def new_id() -> UUID:
    """A version-7 UUID (RFC 9562): milliseconds first, so that keys made later sort later."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds & (1 << 48) - 1) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return UUID(int=value)


def first_id_since(age: timedelta) -> UUID:
    """The smallest key that a row made within `age` can have: the newest rows are found by the primary key alone."""
    return UUID(int=(time.time_ns() // 1_000_000 - age // timedelta(milliseconds=1)) << 80)


def provider_id(prefix: str, key: UUID) -> str:
    """The id under which a provider knows the row `key`: prefix, `_`, 26 characters of Crockford base32.

    It is a function of the row's own id, so it exists before the provider is called and is found again
    after any crash. With a prefix of three letters it has exactly the 30 characters Hyperswitch documents.
    """
    value, letters = key.int, []
    for _ in range(_BODY):
        value, digit = divmod(value, 32)
        letters.append(_ALPHABET[digit])
    return f"{prefix}_{''.join(reversed(letters))}"


def row_id(prefix: str, text: object) -> UUID | None:
    """The row id inside a provider id that `provider_id` made; None for anything else."""
    if not isinstance(text, str) or len(text) != len(prefix) + 1 + _BODY:
        return None
    if not text.startswith(f"{prefix}_"):
        return None
    value = 0
    for letter in text[len(prefix) + 1 :]:
        if letter not in _VALUE:
            return None
        value = value * 32 + _VALUE[letter]
    return UUID(int=value) if value < 1 << 128 else None
