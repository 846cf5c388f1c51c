"""What an upgrade costs: the credit for the rest of a period, to the minor unit, and what is refused."""

from datetime import timedelta

import pytest

from subscriptions.access import SubscriptionPaymentRequired
from subscriptions.models import Subscription
from subscriptions.proration import (
    AlreadyOnPlan,
    AmountBelowMinimum,
    CreditExceedsPrice,
    CurrencyDiffers,
    Quote,
    quote_upgrade,
)
from tests.subscriptions.subscribing import NOW, PlanFactory, activate, days, free_plan, refund_invoice, subscribe
from tests.subscriptions.upgrading import dearer

pytestmark = pytest.mark.django_db
# The first period is of 28 days: from 31 January to 28 February.
HALF = NOW + days(14)


def parts(quote: Quote) -> tuple[int, int, int]:
    """The credit before tax, that of the tax, and what is charged."""
    return quote.credit_net_minor, quote.credit_tax_minor, quote.total_minor


def test_half_a_period_is_credited_half_of_the_price_and_of_its_tax(sandbox):
    quote = quote_upgrade(activate(sandbox), dearer(), at=HALF)

    assert parts(quote) == (5_00, 1_00, 36_00 - 6_00)
    assert (quote.start_at, quote.end_at) == (HALF, HALF.replace(month=3))


@pytest.mark.parametrize(
    ("after", "credit"),
    [
        (timedelta(0), 10_00),
        (timedelta(milliseconds=999), 10_00),
        (timedelta(days=28, seconds=-1), 0),
        (timedelta(days=7), 7_50),
        (timedelta(days=1), 9_64),
        (timedelta(days=2), 9_29),
    ],
)
def test_the_credit_is_by_the_second_and_by_largest_remainder(sandbox, after, credit):
    assert quote_upgrade(activate(sandbox), dearer(), at=NOW + after).credit_net_minor == credit


def test_used_and_credited_parts_add_up_to_what_was_paid_at_every_moment(sandbox):
    subscription, plan = activate(sandbox, PlanFactory(price_minor=9_99)), dearer()
    quotes = [quote_upgrade(subscription, plan, at=NOW + timedelta(hours=hour)) for hour in range(0, 672, 41)]

    nets = [quote.credit_net_minor for quote in quotes]
    assert nets == sorted(nets, reverse=True)
    assert all(abs(net - 9_99 * (672 - hour) / 672) <= 0.5 for net, hour in zip(nets, range(0, 672, 41), strict=True))


def test_tax_is_credited_at_the_rate_that_was_paid(sandbox):
    quote = quote_upgrade(activate(sandbox), dearer(tax_basis_points=1_000), at=HALF)

    assert (quote.net_minor, quote.tax_minor) == (30_00 - 5_00, 3_00 - 1_00)


def test_a_free_plan_and_a_trial_give_no_credit(sandbox):
    free, trial = subscribe(free_plan()), subscribe(PlanFactory(trial_days=14))

    assert parts(quote_upgrade(free, dearer(), at=NOW + days(1))) == (0, 0, 36_00)
    assert parts(quote_upgrade(trial, dearer(), at=NOW + days(1))) == (0, 0, 36_00)


def test_what_was_refunded_is_not_credited(sandbox):
    subscription = activate(sandbox)
    refund_invoice(subscription.invoices.get(), 6_00)

    assert parts(quote_upgrade(subscription, dearer(), at=HALF)) == (2_50, 50, 36_00 - 3_00)


def test_three_decimals_are_credited_in_amounts_that_can_be_paid(sandbox, settings):
    settings.CURRENCIES = ["KWD"]
    subscription = activate(sandbox, PlanFactory(price_minor=9_990, currency="KWD"))
    quote = quote_upgrade(subscription, dearer(price_minor=30_000, currency="KWD"), at=NOW + days(9))

    assert [part % 10 for part in parts(quote)] == [0, 0, 0]


def refuse(subscription: Subscription, plan, at=HALF) -> str:
    with pytest.raises((AlreadyOnPlan, AmountBelowMinimum, CreditExceedsPrice, CurrencyDiffers)) as caught:
        quote_upgrade(subscription, plan, at=at)
    return caught.value.code


def test_a_credit_is_never_paid_out(sandbox):
    yearly = activate(sandbox, PlanFactory(price_minor=120_00, interval="year"))

    assert refuse(yearly, dearer()) == "credit_exceeds_price"
    assert refuse(yearly, free_plan()) == "credit_exceeds_price"


def test_a_difference_too_small_to_be_paid_is_refused(sandbox):
    subscription = activate(sandbox)

    assert refuse(subscription, PlanFactory(price_minor=5_40)) == "amount_below_minimum"
    assert quote_upgrade(subscription, PlanFactory(price_minor=5_42), at=HALF).total_minor == 50


def test_tax_is_not_paid_out_either(sandbox):
    assert refuse(activate(sandbox), dearer(tax_basis_points=0)) == "credit_exceeds_price"


def test_the_own_plan_and_another_currency_are_refused(sandbox):
    subscription = activate(sandbox)

    assert refuse(subscription, subscription.plan) == "already_on_plan"
    assert refuse(subscription, dearer(currency="USD")) == "currency_differs"


def test_a_period_that_has_ended_is_paid_first(sandbox):
    subscription = activate(sandbox)

    with pytest.raises(SubscriptionPaymentRequired):
        quote_upgrade(subscription, dearer(), at=NOW + days(28))
