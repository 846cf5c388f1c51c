"""The one way a length of time is written: `90s`, `1m`, `1h`, `14d`."""

import re
from datetime import timedelta

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_WRITTEN = re.compile(r"([0-9]{1,9})([smhd])")


def parse_duration(written: str) -> timedelta:
    """Read a duration such as `90s`, `15m`, `1h` or `14d`. Raises ValueError, naming what was written."""
    match = _WRITTEN.fullmatch(written.strip())
    if match is None:
        raise ValueError(f"{written!r} is not a duration: write a whole number and s, m, h or d, such as 90s or 1h")
    return timedelta(seconds=int(match[1]) * _SECONDS[match[2]])
