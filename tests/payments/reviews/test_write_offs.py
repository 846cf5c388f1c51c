"""A shortfall is our loss once finance writes it off, and the proof adds it back."""

import pytest

from payments.models import Dispute
from payments.reviews.write_offs import NothingToWriteOff, open_shortfall, shortfall_minor, write_off_shortfall
from tests.buying import deliver_dispute, payment_of
from tests.payments.builders import balances_of
from veza.backoffice.proof import prove_payment
from veza.core.causes import Cause
from veza.core.models import ReviewItem

pytestmark = pytest.mark.django_db
BY_FINANCE = Cause("staff", actor="finance@staff.example", reason="The bank will not listen.")


@pytest.fixture
def dispute(order):
    """A lost dispute of 2.00 more than the payment."""
    deliver_dispute(payment_of(order), "lost", amount_minor=20_00)
    return Dispute.objects.get()


def test_a_shortfall_written_off_is_our_loss_and_the_proof_still_holds(order, dispute):
    assert write_off_shortfall(dispute, cause=BY_FINANCE) == 2_00

    assert balances_of(order) == {"psp_clearing": 2_00, "dispute_loss": -2_00}
    assert prove_payment(payment_of(order)).differences == []


def test_its_review_item_is_closed_with_who_and_why(dispute):
    write_off_shortfall(dispute, cause=BY_FINANCE)

    item = ReviewItem.objects.get(kind="dispute_exceeds_payment")
    assert (item.closed_by, item.note) == (BY_FINANCE.actor, BY_FINANCE.reason)


def test_it_is_written_off_once(order, dispute):
    write_off_shortfall(dispute, cause=BY_FINANCE)

    with pytest.raises(NothingToWriteOff):
        write_off_shortfall(dispute, cause=BY_FINANCE)
    assert (open_shortfall(dispute), shortfall_minor(dispute)) == (None, 0)


def test_what_a_bank_may_still_return_is_not_written_off(order):
    deliver_dispute(payment_of(order), "opened", amount_minor=20_00)

    with pytest.raises(NothingToWriteOff):
        write_off_shortfall(Dispute.objects.get(), cause=BY_FINANCE)


def test_a_dispute_within_the_payment_leaves_nothing_to_write_off(order):
    deliver_dispute(payment_of(order), "lost")

    with pytest.raises(NothingToWriteOff):
        write_off_shortfall(Dispute.objects.get(), cause=BY_FINANCE)
