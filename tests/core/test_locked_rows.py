"""A row that waits for its lock is read again by PostgreSQL; what is joined to it is not."""

import pytest

from payments.models import Payment


@pytest.mark.parametrize("methods", [("locked", "select_related"), ("select_related", "locked")])
def test_a_locked_row_cannot_be_read_with_its_related_rows(methods):
    rows = Payment.objects.all()

    with pytest.raises(AssertionError, match="without its related rows"):
        [rows := getattr(rows, method)() for method in methods]
