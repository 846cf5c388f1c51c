"""How sentences write counts, dates and times: `1 item`, `2 items`, `29 Nov 2026`."""

from datetime import UTC, date, datetime


def count_of(count: int, noun: str, plural: str = "") -> str:
    """A count with its noun: `count_of(1, "item")` is `1 item`, `count_of(2, "item")` is `2 items`.

    `plural` is for nouns that take more than an s: `count_of(2, "dispute reply", "dispute replies")`.
    """
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"


def format_date(day: date) -> str:
    """A day in prose: `29 Nov 2026`. A time is given as its day in UTC."""
    if isinstance(day, datetime):
        day = day.astimezone(UTC)
    return f"{day.day} {day:%b %Y}"


def format_time(at: datetime) -> str:
    """A moment in prose: `29 Nov 2026, 14:05:07 UTC`."""
    return f"{format_date(at)}, {at.astimezone(UTC):%H:%M:%S} UTC"


def format_status(status: str) -> str:
    """A stored status as prose has it: `permanently failed`."""
    return status.replace("_", " ")
