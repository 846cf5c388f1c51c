"""All callers together keep a provider's rate, whichever process and machine they are in."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models.functions import Now

from veza.core import rate
from veza.core.models import ProviderRate

PER_SECOND = 20


@pytest.fixture
def slept(monkeypatch) -> list[float]:
    """How long each caller would have slept; nobody sleeps."""
    seconds: list[float] = []
    monkeypatch.setattr(rate.time, "sleep", seconds.append)
    return seconds


@pytest.mark.django_db
def test_the_first_caller_does_not_wait(slept):
    rate.wait_for_turn("stripe", per_second=PER_SECOND)

    assert slept == []


@pytest.mark.django_db
def test_the_next_caller_waits_for_its_turn(slept):
    for _ in range(3):
        rate.wait_for_turn("stripe", per_second=1)

    first, second = slept
    assert 0 < first <= 1 < second <= 2


@pytest.mark.django_db
def test_a_rate_that_was_not_used_is_not_saved_up(slept):
    ProviderRate.objects.create(provider="stripe", next_free_at=Now() - timedelta(hours=1))

    for _ in range(3):
        rate.wait_for_turn("stripe", per_second=1)

    assert len(slept) == 2


@pytest.mark.django_db
def test_each_provider_has_a_rate_of_its_own(slept):
    rate.wait_for_turn("stripe", per_second=1)
    rate.wait_for_turn("hyperswitch", per_second=1)

    assert slept == []


@pytest.mark.django_db(transaction=True)
def test_callers_at_once_get_turns_one_after_another(slept):
    ProviderRate.objects.create(provider="stripe", next_free_at=Now() + timedelta(hours=1))
    before = ProviderRate.objects.get().next_free_at

    def call_ten_times(_) -> None:
        try:
            for _ in range(10):
                rate.wait_for_turn("stripe", per_second=PER_SECOND)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(call_ten_times, range(2)))

    gap = timedelta(seconds=1 / PER_SECOND)
    assert ProviderRate.objects.get().next_free_at == before + 20 * gap
    assert len(slept) == 20
