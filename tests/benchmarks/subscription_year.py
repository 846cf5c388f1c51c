"""A simulated year of a thousand subscribers, by hand: pytest tests/benchmarks/subscription_year.py -s

It asserts what the small one in tests/subscriptions does, and prints how long the sweep took for each charge.
"""

import time

import pytest

from tests.subscriptions.year import Year
from veza.backoffice.proof import prove_all

pytestmark = pytest.mark.django_db
SUBSCRIBERS = 1_000


def test_a_year_of_a_thousand_subscribers(sandbox):
    year = Year(sandbox, subscribers=SUBSCRIBERS)
    started = time.perf_counter()

    year.run()

    seconds, actual = time.perf_counter() - started, year.actual()
    print(f"\n{SUBSCRIBERS} subscribers, {actual.charges} charges, {seconds:.0f} s, {actual}")
    assert actual == year.expected()
    assert [proof for proof in prove_all() if not proof.is_balanced] == []
