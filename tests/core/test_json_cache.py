"""What stands in Redis is read as a value and never run."""

import os
import pickle

import pytest
from django.core.cache import cache
from django.test import Client

from veza.core.json_cache import JsonSerializer


class Planted:
    """Unpickling this makes a folder."""

    def __init__(self, folder) -> None:
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


@pytest.fixture
def redis():
    if not hasattr(cache, "_cache"):
        pytest.skip("the cache is not Redis")
    return cache._cache.get_client(None, write=True)


@pytest.mark.django_db
def test_a_pickle_in_place_of_every_count_runs_nothing(redis, tmp_path):
    client = Client()
    client.get("/api/v1/marketplace/products")
    keys = redis.keys("*throttle*")
    for key in keys:
        redis.set(key, pickle.dumps(Planted(tmp_path / "run")))

    assert client.get("/api/v1/marketplace/products").status_code == 200
    assert keys
    assert not (tmp_path / "run").exists()


def test_a_pickle_is_no_value(tmp_path):
    with pytest.raises(ValueError, match="decode"):
        JsonSerializer().loads(pickle.dumps(Planted(tmp_path / "run")))

    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("value", [0, -3, True, "text", [1, {"a": None}], 1.5])
def test_what_is_stored_is_read_again(value):
    stored = JsonSerializer().dumps(value)

    assert JsonSerializer().loads(stored.encode()) == value


def test_redis_can_count_a_stored_integer():
    assert JsonSerializer().dumps(41) == "41"
