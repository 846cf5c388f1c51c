"""The saved payment method of a subscription: its subscriber uses another one, or has it removed.

Hyperswitch saves a method with a payment, so another one is saved on the page of the next invoice: now if one is
unpaid, else when the next period begins. Until then nothing is charged to the old one, and Hyperswitch deletes it.
"""

from datetime import datetime
from uuid import UUID

from subscriptions import invoices
from subscriptions.changes import lock_live
from subscriptions.checkout import Checkout
from subscriptions.completion import NothingToPay, request_completion
from subscriptions.models import Subscription
from subscriptions.prices import plan_at_renewal
from subscriptions.saved_methods import fields_without_deleted_method
from subscriptions.states import LIVE
from veza.core import writes
from veza.core.causes import Cause
from veza.core.errors import NotAllowed


class OnlyPaymentMethod(NotAllowed):
    code = "only_payment_method"
    http_status = 409


def request_replacement(*, user_id: UUID, payment_id: UUID, cause: Cause, at: datetime) -> Checkout:
    """Have the subscriber pay with another method, which is saved: the page of the unpaid invoice, if there is one.

    Otherwise the saved method is forgotten, and the next renewal asks them to pay on a page.
    Raises NoSubscription, NothingToPay, PaymentUnderWay.
    """
    live = Subscription.objects.filter(user=user_id, status__in=LIVE).first()
    if live is not None and invoices.payable_invoice(live) is not None:
        return request_completion(subscription_id=live.pk, payment_id=payment_id, user_id=user_id, cause=cause, at=at)
    return Checkout(forget_for_replacement(user_id=user_id, at=at))


@writes.atomic()
def forget_for_replacement(*, user_id: UUID, at: datetime) -> Subscription:
    """Forget the saved method of a subscription that goes on. Raises NoSubscription, NothingToPay."""
    subscription = lock_live(user_id)
    if plan_at_renewal(subscription).is_free:
        raise NothingToPay("A free plan needs no payment method.")
    writes.update(subscription, **fields_without_deleted_method(subscription, at=at))
    return subscription


@writes.atomic()
def remove(*, user_id: UUID, at: datetime) -> Subscription:
    """Forget the saved method of a subscription that ends with its period. Raises NoSubscription, OnlyPaymentMethod."""
    subscription = lock_live(user_id)
    if subscription.hyperswitch_payment_method_id and not subscription.cancel_at_period_end:
        raise OnlyPaymentMethod(
            "This is the only payment method of your subscription. Cancel the subscription first, or use another card."
        )
    writes.update(subscription, **fields_without_deleted_method(subscription, at=at))
    return subscription
