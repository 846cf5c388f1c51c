"""What a renewal costs between us and PostgreSQL, counted so that it cannot rise unseen."""

import pytest

from subscriptions.renewals import open_renewal
from tests.buying import deliver_payment
from tests.round_trips import counted
from tests.subscriptions.subscribing import SWEEP, activate, last_payment

# A test's own transaction would hide BEGIN and COMMIT.
pytestmark = pytest.mark.django_db(transaction=True)


def test_a_renewal_costs_a_known_number_of_round_trips(sandbox):
    subscription = activate(sandbox)

    with counted() as opening:
        open_renewal(subscription.pk, cause=SWEEP, at=subscription.period_end_at)
    payment = last_payment(subscription)
    with counted() as paying:
        assert deliver_payment(payment, payment_method_id="pm_1").json() == {"result": "ok"}

    assert (opening.round_trips, paying.round_trips) == (15, 10), f"{opening}\n{paying}"
