"""Each provider writes amounts in its own way; between the two clients they are minor units by ISO 4217."""

import pytest

from connect.stripe.currencies import STRIPE_AMOUNTS, STRIPE_PAYOUT_AMOUNTS
from connect.stripe.objects import Unreadable as UnreadableTransfer
from connect.stripe.objects import parse_balance
from payments.hyperswitch.currencies import HYPERSWITCH_AMOUNTS
from payments.hyperswitch.objects import Unreadable, parse_refund
from veza.core.money import allocate, basis_points_of, smallest_minor
from veza.core.wire_amounts import Inexpressible

TABLES = [HYPERSWITCH_AMOUNTS, STRIPE_AMOUNTS]
MOVED_BY_BOTH = sorted(code for code in HYPERSWITCH_AMOUNTS.decimals if all(table.knows(code) for table in TABLES))
# From the providers' pages: our minor units, and the integers of Hyperswitch, Stripe, and a payout of Stripe.
ON_THE_WIRE = [
    ("EUR", 12_34, 1234, 1234, 1234),
    ("JPY", 500, 500, 500, 500),
    ("KRW", 500, 500, 500, 500),
    ("ISK", 5, 500, 500, 500),
    ("UGX", 5, 5, 500, 500),
    ("MGA", 5_00, 5, 5, 5),
    ("MGA", 5_01, None, None, None),
    ("KWD", 5_120, 5120, 5120, 5120),
    ("KWD", 5_124, 5124, None, None),
    ("HUF", 10_45, 1045, 1045, None),
    ("HUF", 10_00, 1000, 1000, 1000),
    ("TWD", 8_05, 805, 805, None),
    ("XOF", 7, 7, 7, 7),
    ("SSP", 1_00, 100, None, None),
]


def on_wire(table, amount_minor, currency):
    try:
        return table.to_wire(amount_minor, currency)
    except Inexpressible:
        return None


@pytest.mark.parametrize(("currency", "amount_minor", "hyperswitch", "stripe", "payout"), ON_THE_WIRE)
def test_an_amount_is_written_as_each_provider_reads_it(currency, amount_minor, hyperswitch, stripe, payout):
    tables = (HYPERSWITCH_AMOUNTS, STRIPE_AMOUNTS, STRIPE_PAYOUT_AMOUNTS)

    assert [on_wire(table, amount_minor, currency) for table in tables] == [hyperswitch, stripe, payout]


def test_the_smallest_amount_of_every_currency_passes_both_providers():
    for currency in MOVED_BY_BOTH:
        step = smallest_minor(currency)
        assert step == max(table.step_minor(currency) for table in TABLES), currency
        for table in TABLES:
            assert table.from_wire(table.to_wire(7 * step, currency), currency) == 7 * step, currency


def test_shares_of_an_amount_that_can_be_moved_can_be_moved():
    for currency in MOVED_BY_BOTH:
        step = smallest_minor(currency)
        parts = allocate(100 * step, [step, 3 * step, 999 * step], currency)
        assert sum(parts) == 100 * step
        assert not any(part % step for part in [*parts, basis_points_of(333 * step, 1234, currency)]), currency


def test_an_amount_between_two_minor_units_is_unreadable():
    refund = {"refund_id": "ref_1", "payment_id": "pay_1", "status": "succeeded", "amount": 550, "currency": "ISK"}

    with pytest.raises(Unreadable, match="550 of Hyperswitch is no whole number"):
        parse_refund(refund)
    with pytest.raises(UnreadableTransfer, match="150 of Stripe is no whole number"):
        parse_balance({"available": [{"amount": 150, "currency": "ugx"}]})


def test_a_withdrawn_currency_is_known_to_neither():
    assert not any(table.knows(currency) for table in TABLES for currency in ("HRK", "eur", ""))
