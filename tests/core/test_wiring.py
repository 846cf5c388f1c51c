"""What follows from an event: assigned for every purpose, and undone together with the event."""

from dataclasses import replace

import pytest

from marketplace.models import License
from payments import ports
from payments.models import Payment, Posting
from tests.buying import deliver_payment, order_of, payment_of
from tests.factories import OfferFactory
from veza.wiring import PURCHASES


def break_off(payment, /, *, cause, at):
    raise RuntimeError("what follows cannot be done")


@pytest.fixture
def payment(sandbox):
    return payment_of(order_of(OfferFactory()))


def test_every_purpose_of_a_payment_says_what_follows():
    assert set(PURCHASES) == set(Payment.Purpose)


def test_a_purpose_that_says_nothing_stops_the_start():
    with pytest.raises(AssertionError, match="every purpose"):
        ports.assign_purchases({Payment.Purpose.ORDER: PURCHASES[Payment.Purpose.ORDER]})


@pytest.mark.django_db
def test_an_error_in_what_follows_undoes_the_event(payment, monkeypatch):
    broken = replace(PURCHASES[Payment.Purpose.ORDER], payment_succeeded=break_off)
    monkeypatch.setitem(ports._purchases, "order", broken)

    answer = deliver_payment(payment)

    payment.refresh_from_db()
    assert (answer.status_code, payment.status, payment.received_minor) == (500, "pending", 0)
    assert not Posting.objects.exists()


@pytest.mark.django_db
def test_only_the_purpose_of_the_payment_is_asked(payment, monkeypatch):
    broken = replace(PURCHASES[Payment.Purpose.INVOICE], payment_succeeded=break_off)
    monkeypatch.setitem(ports._purchases, "invoice", broken)

    deliver_payment(payment)

    assert License.objects.count() == 1
