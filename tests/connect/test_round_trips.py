"""What a transfer and a reversal cost between us and PostgreSQL, counted so that it cannot rise unseen."""

from collections.abc import Callable
from typing import Any

import pytest

from connect.models import TransferReversal
from connect.reversals.reversal_outcomes import record_reversal
from connect.reversals.reversal_requests import open_reversal
from connect.stripe.objects import RemoteReversal
from connect.transfers.transfer_outcomes import record_transfer
from connect.transfers.transfer_requests import claim_transfer
from tests.connect.factories import BY_TEST, planned, to_reverse
from tests.connect.stripe_double import call, remote_transfer
from tests.round_trips import counted
from veza.core.outcomes import Accepted

# A test's own transaction would hide BEGIN and COMMIT.
pytestmark = pytest.mark.django_db(transaction=True)


def cost_of(work: Callable[[], Any]) -> tuple[Any, int]:
    with counted() as cost:
        result = work()
    return result, cost.round_trips


def test_a_transfer_costs_a_known_number_of_round_trips():
    transfer = planned()
    attempt, claiming = cost_of(lambda: claim_transfer(transfer.pk, cause=BY_TEST))
    found = remote_transfer("tr_1", amount_minor=attempt.amount_minor, destination=attempt.destination)

    _, booking = cost_of(lambda: record_transfer(attempt, Accepted(found, call()), cause=BY_TEST))

    transfer.refresh_from_db()
    assert (transfer.status, claiming, booking) == ("completed", 10, 4)


def test_a_reversal_costs_a_known_number_of_round_trips():
    transfer = to_reverse()
    attempt, opening = cost_of(lambda: open_reversal(transfer.pk, cause=BY_TEST))
    made = RemoteReversal("trr_1", transfer.stripe_transfer_id, attempt.intent.amount_minor, str(attempt.intent.pk))

    _, booking = cost_of(lambda: record_reversal(attempt, Accepted(made, call()), cause=BY_TEST))

    assert TransferReversal.objects.get().status == "made"
    assert (opening, booking) == (4, 5)
