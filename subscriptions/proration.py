"""What an upgrade now costs: the new plan's price of a whole period, less a credit for the rest of the current one.

The price before tax and its tax are each divided between the seconds that are used and those that are not, by largest
remainder: the two parts add up to what was paid, and the credit is the second part. A second that has begun is not used
yet. What was refunded of the current period gives no credit; the credit that paid for it does.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings

from payments.ledger.chart_of_accounts import SUBSCRIPTION_INCOME, TAX
from payments.models import Payment
from subscriptions.access import SubscriptionPaymentRequired, effective_payment
from subscriptions.chargebacks import are_charges_stopped
from subscriptions.invoices import remaining_allocation
from subscriptions.models import Plan, Subscription, SubscriptionInvoice
from subscriptions.periods import end_of
from subscriptions.prices import Price, price_of
from subscriptions.states import RENEWING, InvoiceStatus
from veza.core.errors import NotAllowed
from veza.core.money import allocate, format_amount, smallest_minor

_NO_CREDIT = (0, 0)
_LATER = "Change to it at the end of the period instead: POST /api/v1/subscriptions/change."


class AlreadyOnPlan(NotAllowed):
    code = "already_on_plan"
    http_status = 409


class CreditExceedsPrice(NotAllowed):
    code = "credit_exceeds_price"
    http_status = 409


class CurrencyDiffers(NotAllowed):
    code = "currency_differs"
    http_status = 409


class AmountBelowMinimum(NotAllowed):
    code = "amount_below_minimum"
    http_status = 409


class PaymentDisputed(NotAllowed):
    code = "payment_disputed"
    http_status = 409


@dataclass(frozen=True)
class Quote:
    """What an upgrade to `plan` at `start_at` costs. Amounts are in minor units of the price's currency."""

    plan: Plan
    start_at: datetime
    end_at: datetime
    price: Price
    credit_net_minor: int
    credit_tax_minor: int
    # The paid invoice of the current period; None: it is free, or a trial.
    credited: SubscriptionInvoice | None

    @property
    def currency(self) -> str:
        return self.price.currency

    @property
    def net_minor(self) -> int:
        return self.price.net_minor - self.credit_net_minor

    @property
    def tax_minor(self) -> int:
        return self.price.tax_minor - self.credit_tax_minor

    @property
    def total_minor(self) -> int:
        """What is charged now."""
        return self.net_minor + self.tax_minor


def quote_upgrade(subscription: Subscription, plan: Plan, *, at: datetime) -> Quote:
    """What it costs to begin a period of `plan` at `at`, instead of the current period.

    Nothing is ever paid out: a credit that is not smaller than the price, before tax and with it, is refused. Raises
    SubscriptionPaymentRequired, AlreadyOnPlan, PaymentDisputed, CurrencyDiffers, CreditExceedsPrice,
    AmountBelowMinimum.
    """
    _refuse_unless_current(subscription, at=at)
    if plan.pk == subscription.plan_id:
        raise AlreadyOnPlan(f"You have the plan {plan.name} already.")
    if are_charges_stopped(subscription):
        raise PaymentDisputed("Your bank disputes an earlier payment, so the plan cannot be changed now. " + _LATER)
    price, credited = price_of(plan), _invoice_of_period(subscription)
    if credited is not None and credited.currency != price.currency:
        raise CurrencyDiffers(f"{plan.name} is paid in {price.currency}, and your plan in another currency. {_LATER}")
    credit_net_minor, credit_tax_minor = _credit_of(credited, at=at) if credited else _NO_CREDIT
    end_at = end_of(at, plan.interval, anchor_day=at.day)
    quote = Quote(plan, at, end_at, price, credit_net_minor, credit_tax_minor, credited)
    _refuse_unless_payable(quote)
    return quote


def _refuse_unless_current(subscription: Subscription, *, at: datetime) -> None:
    """Raises SubscriptionPaymentRequired unless a period is under way that gives access."""
    end_at = subscription.period_end_at
    is_current = subscription.status in RENEWING and end_at is not None and at < end_at
    if not is_current or effective_payment(subscription, at=at) is None:
        raise SubscriptionPaymentRequired("Pay for your current plan before you change it.")


def _invoice_of_period(subscription: Subscription) -> SubscriptionInvoice | None:
    assert subscription.period_start_at is not None, "a period is under way"
    paid = subscription.invoices.filter(status=InvoiceStatus.PAID, period_start_at=subscription.period_start_at)
    return paid.first()


def _credit_of(invoice: SubscriptionInvoice, *, at: datetime) -> tuple[int, int]:
    """The part of the invoice's price, and of its tax, that is for the time after `at`."""
    payment = Payment.objects.get(hyperswitch_payment_id=invoice.hyperswitch_payment_id)
    paid = remaining_allocation(invoice, payment)
    worth = (
        paid.get(SUBSCRIPTION_INCOME, 0) + invoice.credit_net_minor,
        paid.get(TAX, 0) + invoice.credit_tax_minor,
    )
    whole = (invoice.period_end_at - invoice.period_start_at) // timedelta(seconds=1)
    used = (at - invoice.period_start_at) // timedelta(seconds=1)
    assert 0 <= used <= whole, "a credit is for a period that has begun and not ended"
    step = smallest_minor(invoice.currency)  # So that each part can be moved, the shares are multiples of it too.
    shares = [used * step, (whole - used) * step]
    net_minor, tax_minor = (allocate(max(0, part), shares, invoice.currency)[1] for part in worth)
    return net_minor, tax_minor


def _refuse_unless_payable(quote: Quote) -> None:
    if quote.net_minor <= 0 or quote.tax_minor < 0:
        credit = format_amount(quote.credit_net_minor + quote.credit_tax_minor, quote.currency)
        raise CreditExceedsPrice(f"The rest of your period is worth {credit}, and {quote.plan.name} no more. {_LATER}")
    least_minor = max(settings.OFFER_MIN_PRICE.get(quote.currency, 0), smallest_minor(quote.currency))
    if quote.total_minor < least_minor:
        total, least = format_amount(quote.total_minor, quote.currency), format_amount(least_minor, quote.currency)
        raise AmountBelowMinimum(f"{total} is left to pay, and the smallest payment is {least}. {_LATER}")
