from datetime import timedelta

import pytest

from veza.core.durations import parse_duration


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("90s", timedelta(seconds=90)),
        ("1m", timedelta(minutes=1)),
        ("1h", timedelta(hours=1)),
        ("14d", timedelta(days=14)),
        (" 5m ", timedelta(minutes=5)),
    ],
)
def test_a_duration_is_a_number_and_a_letter(text, length):
    assert parse_duration(text) == length


@pytest.mark.parametrize("text", ["", "5", "m", "1.5h", "-1s", "1w", "1h30m", "\u0661s", "1 h", "9999999999s"])
def test_anything_else_is_refused_with_what_was_written(text):
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)
