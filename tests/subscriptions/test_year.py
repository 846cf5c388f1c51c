"""A simulated year ends with exactly the invoices and the money it should. tests/benchmarks has it with a thousand."""

import pytest

from tests.subscriptions.year import Year
from veza.backoffice.proof import prove_all

pytestmark = pytest.mark.django_db


def test_a_simulated_year_ends_with_the_expected_invoices_and_money(sandbox):
    year = Year(sandbox)

    year.run()

    assert year.actual() == year.expected()
    assert [proof for proof in prove_all() if not proof.is_balanced] == []
