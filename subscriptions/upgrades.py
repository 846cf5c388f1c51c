"""An upgrade now: another plan's whole period begins at once, for its price less the rest of the current period.

Nothing of the subscription changes until it is paid. The saved method is charged; without one, or if that charge fails,
the subscriber pays on a page. An upgrade that is not paid is withdrawn by whatever changes the subscription first:
another upgrade, a change, a cancellation, a refund, or the end of the period.
"""

from datetime import datetime
from uuid import UUID

from django.conf import settings

from payments.collection.charges import is_awaiting_payer
from payments.collection.payment_requests import PaymentUnderWay, cancel_payment, check_payment, send_now
from payments.models import Payment
from payments.states import PAYMENT_OPEN
from subscriptions import invoices
from subscriptions.changes import NoSubscription, lock_live
from subscriptions.checkout import Checkout, open_checkout
from subscriptions.invoices import PAYMENT_DEAD
from subscriptions.models import Plan, Subscription, SubscriptionInvoice
from subscriptions.proration import Quote, quote_upgrade
from subscriptions.states import LIVE, PAYABLE, InvoiceStatus
from subscriptions.subscribing import active_plan
from subscriptions.upgrade_periods import is_quote_over
from veza.core import writes
from veza.core.accounts import lock_open_account
from veza.core.causes import Cause
from veza.core.errors import NotAllowed
from veza.core.ids import new_id
from veza.core.money import format_amount

Rows = tuple[Subscription, SubscriptionInvoice, Payment]


class QuoteChanged(NotAllowed):
    code = "quote_changed"
    http_status = 409


def preview_upgrade(*, user_id: UUID, plan_id: UUID, at: datetime) -> Quote:
    """What an upgrade costs at `at`. Changes nothing. Raises NoSubscription, PlanNotFound, and what `quote_upgrade`
    raises.
    """
    subscription = Subscription.objects.filter(user=user_id, status__in=LIVE).select_related("plan").first()
    if subscription is None:
        raise NoSubscription("You have no subscription.")
    return quote_upgrade(subscription, active_plan(plan_id), at=at)


def request_upgrade(
    *,
    invoice_id: UUID,
    user_id: UUID,
    plan_id: UUID,
    quoted_at: datetime,
    expected_total_minor: int,
    cause: Cause,
    at: datetime,
) -> Checkout:
    """Upgrade as previewed at `quoted_at`, and charge exactly the total that was shown, tax included.

    Requesting again with the same id continues the first request. Raises what `preview_upgrade` raises, QuoteChanged,
    PaymentUnderWay, AccountClosed.
    """
    _close_page_in_the_way(user_id, plan_id, at=at, cause=cause)
    subscription, invoice, payment = open_upgrade(
        invoice_id=invoice_id,
        user_id=user_id,
        plan_id=plan_id,
        quoted_at=quoted_at,
        expected_total_minor=expected_total_minor,
        cause=cause,
        at=at,
    )
    if payment.off_session and payment.status in PAYMENT_OPEN:
        _charge(payment, cause=cause)
    if payment.status in PAYMENT_DEAD:
        if is_awaiting_payer(payment):
            cancel_payment(payment.pk, reason="The payer pays on a page.", cause=cause)
        subscription, invoice, payment = open_page(invoice.pk, user_id=user_id)
    if payment.off_session:
        subscription.refresh_from_db()
        invoice.refresh_from_db()
        return Checkout(subscription, invoice, payment)
    return open_checkout(subscription, invoice, payment, cause=cause)


def _charge(payment: Payment, *, cause: Cause) -> None:
    """Charge the saved method, and read what became of it: the subscriber waits for the result."""
    if payment.hyperswitch_payment_id is None:
        send_now(payment.pk, cause=cause)
    payment.refresh_from_db()
    if payment.hyperswitch_payment_id is not None and payment.status in PAYMENT_OPEN:
        check_payment(payment.pk, cause=cause)
        payment.refresh_from_db()


def _close_page_in_the_way(user_id: UUID, plan_id: UUID, *, at: datetime, cause: Cause) -> None:
    """Close the page of an earlier upgrade if it is to another plan, or over: it must not be paid beside this one."""
    subscription = Subscription.objects.filter(user=user_id, status__in=LIVE).first()
    earlier = invoices.open_upgrade_of(subscription.pk) if subscription else None
    for payment in invoices.payments_of(earlier.pk)[-1:] if earlier else []:
        is_usable = earlier is not None and earlier.plan_id == plan_id and payment.is_page_open(at=at)
        if payment.status in PAYMENT_OPEN and not payment.off_session and not is_usable:
            cancel_payment(payment.pk, reason="Another upgrade was requested.", cause=cause)


@writes.atomic()
def open_upgrade(
    *,
    invoice_id: UUID,
    user_id: UUID,
    plan_id: UUID,
    quoted_at: datetime,
    expected_total_minor: int,
    cause: Cause,
    at: datetime,
) -> Rows:
    """Commit an upgrade's invoice and its payment, which is not sent yet; the earlier one while it may still be paid.

    Raises what `request_upgrade` raises.
    """
    if earlier := _rows_of(invoice_id, user_id):
        return earlier
    lock_open_account(user_id)
    subscription = lock_live(user_id)
    unpaid = invoices.open_upgrade_of(subscription.pk)
    last = next(reversed(invoices.payments_of(unpaid.pk)), None) if unpaid else None
    if unpaid is not None and last is not None and last.status not in PAYMENT_DEAD:
        if unpaid.plan_id == plan_id and last.status in PAYMENT_OPEN and last.is_page_open(at=at):
            return subscription, unpaid, last
        raise PaymentUnderWay("The payment of an upgrade is in progress. Try again in a minute.")
    quote = _accepted_quote(subscription, active_plan(plan_id), quoted_at, expected_total_minor, at=at)
    invoices.void_upgrade(subscription, cause=cause, at=at)
    invoice = _open_invoice(invoice_id, subscription, quote)
    if subscription.hyperswitch_payment_method_id:
        return subscription, invoice, invoices.open_charge(invoice, subscription, is_first=True)
    payment = invoices.open_page_payment(invoice, subscription, payment_id=new_id(), is_first=True)
    return subscription, invoice, payment


@writes.atomic()
def open_page(invoice_id: UUID, *, user_id: UUID) -> Rows:
    """Commit a payment on a page for an upgrade whose payment is dead; the last payment if it is not.

    Raises QuoteChanged for an upgrade that was withdrawn, or requested too long ago.
    """
    list(Payment.objects.of(Payment.Purpose.INVOICE, invoice_id).locked())
    subscription = Subscription.objects.locked().get(invoices=invoice_id, user=user_id)
    invoice = SubscriptionInvoice.objects.select_related("plan").get(pk=invoice_id)
    last = invoices.payments_of(invoice_id)[-1]
    if invoice.status == InvoiceStatus.VOID or (invoice.status in PAYABLE and is_quote_over(invoice)):
        raise QuoteChanged("This upgrade was withdrawn. Ask for another preview.")
    if invoice.status in PAYABLE and last.status in PAYMENT_DEAD:
        last = invoices.open_page_payment(invoice, subscription, payment_id=new_id(), is_first=False)
    return subscription, invoice, last


def _rows_of(invoice_id: UUID, user_id: UUID) -> Rows | None:
    """The upgrade that an earlier request with this id has opened."""
    own = SubscriptionInvoice.objects.filter(pk=invoice_id, subscription__user=user_id)
    invoice = own.select_related("plan", "subscription__plan").first()
    return (invoice.subscription, invoice, invoices.payments_of(invoice.pk)[-1]) if invoice else None


def _accepted_quote(
    subscription: Subscription, plan: Plan, quoted_at: datetime, expected_total_minor: int, *, at: datetime
) -> Quote:
    """The quote that was shown, if it still holds. Raises QuoteChanged, and what `quote_upgrade` raises."""
    start_at = subscription.period_start_at
    is_recent = at - settings.ORDER_SESSION < quoted_at <= at
    is_used = subscription.invoices.filter(period_start_at=quoted_at).exists()
    if not is_recent or is_used or (start_at is not None and quoted_at < start_at):
        raise QuoteChanged("This preview does not hold any more. Ask for another one.")
    quote = quote_upgrade(subscription, plan, at=quoted_at)
    if quote.total_minor != expected_total_minor:
        expected = format_amount(expected_total_minor, quote.currency)
        total = format_amount(quote.total_minor, quote.currency)
        raise QuoteChanged(f"The upgrade costs {total}, and you expect {expected}. Ask for another preview.")
    return quote


def _open_invoice(invoice_id: UUID, subscription: Subscription, quote: Quote) -> SubscriptionInvoice:
    return SubscriptionInvoice.objects.create(
        pk=invoice_id,
        subscription=subscription,
        plan=quote.plan,
        period_start_at=quote.start_at,
        period_end_at=quote.end_at,
        net_minor=quote.net_minor,
        tax_minor=quote.tax_minor,
        total_minor=quote.total_minor,
        currency=quote.currency,
        is_upgrade=True,
        credit_net_minor=quote.credit_net_minor,
        credit_tax_minor=quote.credit_tax_minor,
        credited_invoice=quote.credited,
    )
