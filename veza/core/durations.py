"""The one way to write a length of time: `90s`, `1m`, `1h`, `14d`."""

import re
from datetime import timedelta

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION = re.compile(r"([0-9]{1,9})([smhd])")


def parse_duration(text: str) -> timedelta:
    """Read a duration such as `90s`, `15m`, `1h` or `14d`. Raises ValueError, naming the text."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a duration: write a whole number and s, m, h or d, such as 90s or 1h")
    return timedelta(seconds=int(match[1]) * _SECONDS[match[2]])
