"""What is counted in a cache that may be away keeps nobody out, and nobody waits for it twice."""

import pytest
from redis import ConnectionError as ConnectionLost
from redis import TimeoutError as TimedOut

from veza.core.api.counts import PAUSE_SECONDS, SharedCache


class Away:
    def __init__(self, error: Exception) -> None:
        self.error, self.calls = error, 0

    def __call__(self) -> bool:
        self.calls += 1
        raise self.error


@pytest.fixture
def now():
    return [100.0]


@pytest.fixture
def cache(now):
    return SharedCache(clock=lambda: now[0])


def ask(cache, work):
    return cache.ask(work, otherwise="let in", about="a test")


def test_what_it_comes_to_is_told(cache):
    assert ask(cache, lambda: "counted") == "counted"


@pytest.mark.parametrize("error", [ConnectionLost("no"), TimedOut("no"), OSError("no")])
def test_a_cache_that_is_away_is_left_alone_for_some_seconds(cache, now, error):
    broken_cache = Away(error)

    assert [ask(cache, broken_cache) for _ in range(5)] == ["let in"] * 5
    assert broken_cache.calls == 1

    now[0] += PAUSE_SECONDS
    assert ask(cache, lambda: "counted") == "counted"


def test_another_error_lets_that_one_in_and_everybody_is_counted_again(cache):
    assert ask(cache, Away(ValueError("a bug"))) == "let in"
    assert ask(cache, lambda: "counted") == "counted"


def test_the_log_says_what_was_not_counted(cache, caplog):
    ask(cache, Away(ConnectionLost("no")))

    assert "not_counted" in caplog.text
    assert "a test" in caplog.text
