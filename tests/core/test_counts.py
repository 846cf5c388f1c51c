"""What is counted in a cache that may be away keeps nobody out, and nobody waits for it twice."""

import pytest
from redis import ConnectionError as Refused
from redis import TimeoutError as Silent

from veza.core.api.counts import LEFT_ALONE_SECONDS, SharedCache


class Away:
    def __init__(self, error: Exception) -> None:
        self.error, self.params = error, 0

    def __call__(self) -> bool:
        self.params += 1
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


@pytest.mark.parametrize("error", [Refused("no"), Silent("no"), OSError("no")])
def test_a_cache_that_is_away_is_left_alone_for_some_seconds(cache, now, error):
    away = Away(error)

    assert [ask(cache, away) for _ in range(5)] == ["let in"] * 5
    assert away.params == 1

    now[0] += LEFT_ALONE_SECONDS
    assert ask(cache, lambda: "counted") == "counted"


def test_another_error_lets_that_one_in_and_everybody_is_counted_again(cache):
    assert ask(cache, Away(ValueError("a bug"))) == "let in"
    assert ask(cache, lambda: "counted") == "counted"


def test_the_log_says_what_was_not_counted(cache, caplog):
    ask(cache, Away(Refused("no")))

    assert "not_counted" in caplog.text
    assert "a test" in caplog.text
