"""The pauses between retries: pure arithmetic."""

from datetime import timedelta

import pytest

from connect.worker.retry_policy import backoff, debt_backoff

SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(("retry", "seconds"), [(0, 1), (1, 2), (2, 4), (3, 8), (4, 10), (5, 10), (1_000_000, 10)])
def test_the_wait_doubles_and_is_capped(retry, seconds):
    assert backoff(retry, base=SECOND, cap=10 * SECOND) == timedelta(seconds=seconds)


def test_a_debt_waits_days_and_at_most_a_week():
    assert [debt_backoff(refusals).days for refusals in range(6)] == [1, 2, 4, 7, 7, 7]
