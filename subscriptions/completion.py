"""Completing the payment of a subscription: its payment page while that is open, else a new one."""

from datetime import datetime
from uuid import UUID

from payments.collection.charges import is_awaiting_payer
from payments.collection.payment_requests import PaymentUnderWay, cancel_payment, check_payment
from payments.models import Payment
from payments.states import PAYMENT_OPEN, PaymentStatus
from subscriptions import invoices
from subscriptions.access import effective_payment
from subscriptions.checkout import Checkout, open_checkout
from subscriptions.invoices import PAYMENT_DEAD
from subscriptions.models import Subscription, SubscriptionInvoice
from subscriptions.prices import plan_at_renewal
from subscriptions.states import LIVE, SubscriptionStatus
from veza.core import writes
from veza.core.accounts import lock_open_account
from veza.core.causes import Cause
from veza.core.errors import NotAllowed, NotFound
from veza.core.ids import new_id


class NothingToPay(NotAllowed):
    code = "nothing_to_pay"
    http_status = 409


def request_completion(
    *, subscription_id: UUID, payment_id: UUID, user_id: UUID, cause: Cause, at: datetime
) -> Checkout:
    """Get the payment page of the user's unpaid subscription. A new payment, if one is needed, gets `payment_id`.

    Raises NotFound, NothingToPay, PaymentUnderWay, AccountClosed.
    """
    refresh_last_payment(subscription_id=subscription_id, user_id=user_id, cause=cause, at=at)
    rows = open_completion(subscription_id=subscription_id, payment_id=payment_id, user_id=user_id, at=at)
    return open_checkout(*rows, cause=cause)


def refresh_last_payment(*, subscription_id: UUID, user_id: UUID, cause: Cause, at: datetime) -> None:
    """Close the last payment's page if its session has ended; read a failed payment again from Hyperswitch.

    A charge that waits for the payer at Hyperswitch is closed: they pay on a page instead.
    """
    invoice = invoices.payable_invoice(_subscription_of(user_id, subscription_id))
    payments = invoices.payments_of(invoice.pk) if invoice else []
    for payment in payments[-1:]:
        if payment.status in PAYMENT_OPEN and not payment.off_session and not payment.is_page_open(at=at):
            cancel_payment(payment.pk, reason="The payment page has expired.", cause=cause)
        elif payment.off_session and payment.status == PaymentStatus.FAILED and is_awaiting_payer(payment):
            cancel_payment(payment.pk, reason="The payer pays on a page.", cause=cause)
        elif payment.status == PaymentStatus.FAILED and payment.hyperswitch_payment_id:
            check_payment(payment.pk, cause=cause)  # The subscriber may have paid on the same page since.
        elif payment.off_session and payment.status in PAYMENT_OPEN and payment.hyperswitch_payment_id:
            check_payment(payment.pk, cause=cause)


@writes.atomic()
def open_completion(
    *, subscription_id: UUID, payment_id: UUID, user_id: UUID, at: datetime
) -> tuple[Subscription, SubscriptionInvoice, Payment]:
    """Commit the payment to complete: the last one while its page is open, or a new one after it is dead.

    Raises NotFound, NothingToPay, PaymentUnderWay, AccountClosed.
    """
    lock_open_account(user_id)
    unpaid = invoices.payable_invoice(_subscription_of(user_id, subscription_id))
    if unpaid is not None:
        list(Payment.objects.of(Payment.Purpose.INVOICE, unpaid.pk).locked())
    subscription = Subscription.objects.locked().get(pk=subscription_id)
    invoice = _invoice_to_pay(subscription, at=at)
    last = next(reversed(invoices.payments_of(invoice.pk)), None)
    if last is None or last.status in PAYMENT_DEAD:
        if Payment.objects.filter(pk=payment_id).exists():
            payment_id = new_id()  # The request is repeated under its key, and its first payment is dead.
        is_first = last is None
        payment = invoices.open_page_payment(invoice, subscription, payment_id=payment_id, is_first=is_first)
        return subscription, invoice, payment
    if last.status in PAYMENT_OPEN and last.is_page_open(at=at):
        return subscription, invoice, last
    raise PaymentUnderWay("A payment is in progress. Try again in a minute.")


def _subscription_of(user_id: UUID, subscription_id: UUID) -> Subscription:
    subscription = Subscription.objects.filter(pk=subscription_id, user=user_id).first()
    if subscription is None:
        raise NotFound("There is no such subscription.")
    return subscription


def _invoice_to_pay(subscription: Subscription, *, at: datetime) -> SubscriptionInvoice:
    """The invoice to pay; a new one for a live subscription without an effective payment."""
    if subscription.status == SubscriptionStatus.CANCELLED:
        raise NothingToPay("This subscription is cancelled. Subscribe again instead.")
    if subscription.status == SubscriptionStatus.EXPIRED and _has_another(subscription):
        raise NothingToPay("You have another subscription.")
    if invoice := invoices.payable_invoice(subscription):
        return invoice
    plan = plan_at_renewal(subscription)
    if subscription.status not in LIVE or plan.is_free or effective_payment(subscription, at=at) is not None:
        raise NothingToPay("This subscription has nothing to pay.")
    return invoices.next_invoice(subscription, at=at)


def _has_another(subscription: Subscription) -> bool:
    others = Subscription.objects.filter(user=subscription.user_id, status__in=LIVE)
    return others.exclude(pk=subscription.pk).exists()
