"""Money moves between two accounts, in one direction, inside a transaction, and never more than there is."""

import pytest
from django.utils import timezone

from payments.ledger.allocations import allocate_over, capped_to, subtract
from payments.ledger.postings import Line, Reference, post, post_applied, post_received
from payments.models import Posting
from tests.buying import payment_of
from veza.core.ids import new_id


def post_lines(*lines: Line, currency: str = "EUR") -> None:
    key = new_id()
    reference = Reference(Posting.Kind.STATEMENT, key)
    post(reference, lines, payment=None, currency=currency, correlation_id=key, at=timezone.now())


@pytest.mark.parametrize(
    ("debit", "credit", "amount", "rule"),
    [
        ("tax", "unapplied", -1, "never backwards"),
        ("tax", "tax", 1, "between two accounts"),
        ("tax", "unapplied", 1.5, "whole number"),
    ],
)
def test_a_line_moves_a_whole_amount_forwards_between_two_accounts(debit, credit, amount, rule):
    with pytest.raises(AssertionError, match=rule):
        Line(debit, credit, amount, "in")


@pytest.mark.django_db(transaction=True)
def test_nothing_is_posted_outside_a_transaction():
    with pytest.raises(AssertionError, match="in the commit of the move"):
        post_lines(Line("stripe_balance", "psp_clearing", 1, "in"))


@pytest.mark.django_db
@pytest.mark.parametrize("currency", ["eur", "EURO", ""])
def test_a_batch_is_in_one_currency(currency):
    with pytest.raises(AssertionError, match="one currency"):
        post_lines(Line("stripe_balance", "psp_clearing", 1, "in"), currency=currency)


@pytest.mark.django_db
def test_lines_of_zero_are_omitted():
    post_lines(Line("stripe_balance", "psp_clearing", 0, "in"), Line("psp_fees", "psp_clearing", 5, "fee"))

    assert Posting.objects.get().amount_minor == 5


@pytest.mark.django_db
@pytest.mark.parametrize("amount", [0, -1, 18_01])
def test_no_more_is_posted_as_received_than_was_received(order, amount):
    with pytest.raises(AssertionError, match="part of what was received"):
        post_received(payment_of(order), amount, currency="EUR", at=timezone.now())


@pytest.mark.django_db
def test_money_is_posted_in_the_currency_it_was_received_in(order):
    with pytest.raises(AssertionError, match="in which it was received"):
        post_received(payment_of(order), 1, currency="USD", at=timezone.now())


@pytest.mark.django_db
def test_no_more_is_applied_than_was_received(order):
    with pytest.raises(AssertionError, match="no more is applied"):
        post_applied(order.pk, {"tax": 18_01}, payment=payment_of(order), at=timezone.now())


def test_an_allocation_never_takes_more_than_an_account_has():
    assert allocate_over(10, {"tax": 3, "platform_fee": 5}, "EUR") == {"tax": 3, "platform_fee": 5, "recoverable": 2}
    assert capped_to({"tax": 4}, {"tax": 3, "platform_fee": 5}, "EUR") == {"tax": 3, "platform_fee": 1}


@pytest.mark.parametrize(
    "take",
    [
        lambda: allocate_over(-1, {"tax": 1}, "EUR"),
        lambda: allocate_over(1, {"tax": -1}, "EUR"),
        lambda: subtract({"tax": -1}, {}),
    ],
)
def test_an_allocation_is_never_negative(take):
    with pytest.raises(AssertionError):
        take()
