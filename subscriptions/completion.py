"""The way out for somebody who owes: to the payment page that works, the same one while it lives, else a new one."""

from datetime import datetime
from uuid import UUID

from django.db import transaction

from payments.collection.payment_requests import cancel_payment, check_payment
from payments.models import Payment
from payments.states import PAYMENT_OPEN, PaymentStatus
from subscriptions import invoices
from subscriptions.access import effective_payment
from subscriptions.invoices import PAYMENT_DEAD
from subscriptions.models import Subscription, SubscriptionInvoice
from subscriptions.offers import Offer, offer, page_works
from subscriptions.states import LIVE, SubscriptionStatus
from veza.core.causes import Cause
from veza.core.errors import NotAllowed, NotFound


class NothingToPay(NotAllowed):
    code = "nothing_to_pay"
    http_status = 409


class PaymentUnderWay(NotAllowed):
    code = "payment_under_way"
    http_status = 409
    retry_after_seconds = 60


def request_completion(*, subscription_id: UUID, payment_id: UUID, user_id: UUID, cause: Cause, at: datetime) -> Offer:
    """Bring a person who owes to a page where they can pay. A new payment, if one is needed, gets `payment_id`.

    Raises NotFound, NothingToPay, PaymentUnderWay.
    """
    close_ended(subscription_id=subscription_id, user_id=user_id, cause=cause, at=at)
    found = open_completion(subscription_id=subscription_id, payment_id=payment_id, user_id=user_id, at=at)
    return offer(*found, cause=cause)


def close_ended(*, subscription_id: UUID, user_id: UUID, cause: Cause, at: datetime) -> None:
    """Ask the provider about the last payment where only it can say that nobody can pay it any more."""
    subscription = _own(subscription_id, user_id)
    owed = invoices.owed_invoice(subscription)
    last = invoices.payments_of(owed.pk)[-1:] if owed else []
    for payment in last:
        if payment.status in PAYMENT_OPEN and not payment.off_session and not page_works(payment, at=at):
            cancel_payment(payment.pk, reason="The payment page is over.", cause=cause)
        elif payment.status == PaymentStatus.FAILED and payment.hyperswitch_payment_id:
            check_payment(payment.pk, cause=cause)  # A payer may have tried again where it failed.


@transaction.atomic(durable=True)
def open_completion(
    *, subscription_id: UUID, payment_id: UUID, user_id: UUID, at: datetime
) -> tuple[Subscription, SubscriptionInvoice, Payment]:
    """Commit the payment that the person is sent to: the one that waits, or a new one after the last is dead."""
    owed = invoices.owed_invoice(_own(subscription_id, user_id))
    if owed is not None:
        list(Payment.objects.of(Payment.Purpose.INVOICE, owed.pk).locked())
    subscription = Subscription.objects.locked().select_related("plan", "next_plan").get(pk=subscription_id)
    invoice = _what_is_owed(subscription, at=at)
    last = next(reversed(invoices.payments_of(invoice.pk)), None)
    if last is None or last.status in PAYMENT_DEAD:
        return subscription, invoice, invoices.open_page_payment(invoice, subscription, payment_id=payment_id)
    if last.status in PAYMENT_OPEN and page_works(last, at=at):
        return subscription, invoice, last
    raise PaymentUnderWay("A payment is under way. Look again in a minute.")


def _own(subscription_id: UUID, user_id: UUID) -> Subscription:
    own = Subscription.objects.filter(pk=subscription_id, user=user_id).first()
    if own is None:
        raise NotFound("There is no such subscription.")
    return own


def _what_is_owed(subscription: Subscription, *, at: datetime) -> SubscriptionInvoice:
    """The invoice to pay; one is made for a live subscription that nothing stands behind."""
    if subscription.status == SubscriptionStatus.CANCELLED:
        raise NothingToPay("This subscription is cancelled. Subscribe again instead.")
    if subscription.status == SubscriptionStatus.EXPIRED and _has_another(subscription):
        raise NothingToPay("You have another subscription.")
    if owed := invoices.owed_invoice(subscription):
        return owed
    if subscription.status not in LIVE or effective_payment(subscription, at=at) is not None:
        raise NothingToPay("Nothing is owed for this subscription.")
    return invoices.next_invoice(subscription, at=at)


def _has_another(subscription: Subscription) -> bool:
    others = Subscription.objects.filter(user=subscription.user_id, status__in=LIVE)
    return others.exclude(pk=subscription.pk).exists()
