"""Counts, dates and times in sentences."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from veza.core.words import count_of, format_date, format_status, format_time


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 items"), (1, "1 item"), (2, "2 items"), (12_500, "12,500 items")],
)
def test_a_noun_follows_its_count(count, text):
    assert count_of(count, "item") == text


def test_a_noun_with_another_plural_says_so():
    assert count_of(1, "delivery", "deliveries") == "1 delivery"
    assert count_of(2, "delivery", "deliveries") == "2 deliveries"


def test_a_date_is_written_without_a_leading_zero():
    assert format_date(date(2026, 11, 9)) == "9 Nov 2026"


def test_a_time_is_written_in_utc():
    at = datetime(2026, 11, 30, 0, 30, tzinfo=timezone(timedelta(hours=1)))

    assert (format_date(at), format_time(at)) == ("29 Nov 2026", "29 Nov 2026, 23:30:00 UTC")
    assert format_time(datetime(2026, 11, 29, 14, 5, 7, tzinfo=UTC)) == "29 Nov 2026, 14:05:07 UTC"


def test_a_status_is_written_with_blanks():
    assert format_status("permanently_failed") == "permanently failed"
