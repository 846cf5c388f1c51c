"""Two who book what our bank paid at the same moment: the second decides by what the first left.

Every test fails without the lock that it is about.
"""

from datetime import timedelta
from functools import partial

import pytest
from django.utils import timezone

from marketplace.bank_refunds import BankTransfer, refund_from_bank
from marketplace.models import Order
from marketplace.refunds import OrderNotRefundable
from payments.models import Payment, Refund
from payments.refunds.bank_refunds import return_bank_refund
from tests.buying import order_of, paid, support
from tests.crowd import before_commit
from tests.factories import OfferFactory
from tests.payments.builders import BY_STAFF, is_proved
from veza.core.ids import new_id
from veza.core.models import User

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def order(sandbox) -> Order:
    """A paid order of 12.00, too old to be refunded at Hyperswitch."""
    order = paid(order_of(OfferFactory()))
    Payment.objects.update(created_at=timezone.now() - timedelta(days=366))
    return order


@pytest.fixture
def member() -> User:
    """Made beforehand: the first commit of what races has to be the refund's."""
    return support()


def refund_by_bank(order: Order, reference: str, member: User) -> Refund:
    """All of the order, as finance books it."""
    return refund_from_bank(
        refund_id=new_id(),
        order_id=order.pk,
        bank_transfer=BankTransfer(reference, order.total_minor, [item.pk for item in order.items.all()]),
        booked_by_id=member.pk,
        cause=BY_STAFF,
    )


def test_two_bank_refunds_at_once_are_one(order, member):
    _, rival = before_commit(*(partial(refund_by_bank, order, reference, member) for reference in ("TRF-1", "TRF-2")))

    assert isinstance(rival.result(), OrderNotRefundable)
    assert (Refund.objects.count(), is_proved(order)) == (1, True)


def test_a_bank_refund_that_two_mark_as_returned_returns_once(order, member):
    refund = refund_by_bank(order, "TRF-1", member)

    _, rival = before_commit(*[lambda: return_bank_refund(refund_id=refund.pk, cause=BY_STAFF)] * 2)

    assert rival.result().status == "bounced"
    assert (Refund.objects.get().posting_batches, is_proved(order)) == (2, True)
