"""The saved payment method of a subscription: its subscriber uses another one, or has it removed.

Another one is saved on the page of the unpaid invoice, if there is one, else by a set-up of zero. A provider account
without set-ups saves a method with a payment only: then the next renewal's page saves it, and until then nothing is
charged to the old one. Hyperswitch deletes what is not used any more.
"""

from datetime import datetime
from uuid import UUID

from django.conf import settings

from payments.collection.method_setups import open_setup, send_setup
from payments.models import MethodSetup
from subscriptions import invoices
from subscriptions.changes import lock_live
from subscriptions.checkout import Checkout
from subscriptions.completion import NothingToPay, request_completion
from subscriptions.models import Plan, Subscription
from subscriptions.prices import plan_at_renewal
from subscriptions.saved_methods import fields_without_deleted_method
from subscriptions.states import LIVE
from veza.core import writes
from veza.core.accounts import lock_open_account
from veza.core.causes import Cause
from veza.core.errors import NotAllowed
from veza.core.outcomes import Accepted, Refused


class OnlyPaymentMethod(NotAllowed):
    code = "only_payment_method"
    http_status = 409


def request_replacement(*, user_id: UUID, payment_id: UUID, cause: Cause, at: datetime) -> Checkout:
    """Have the subscriber pay with another method, which is saved: the page of the unpaid invoice, if there is one.

    Otherwise the page of a set-up, which charges nothing; the saved method stays until another one is saved. Without
    set-ups at the provider the saved method is forgotten, and the next renewal asks them to pay on a page.
    Raises NoSubscription, NothingToPay, PaymentUnderWay, AccountClosed.
    """
    live = Subscription.objects.filter(user=user_id, status__in=LIVE).first()
    if live is not None and invoices.payable_invoice(live) is not None:
        return request_completion(subscription_id=live.pk, payment_id=payment_id, user_id=user_id, cause=cause, at=at)
    if settings.HYPERSWITCH_METHOD_SETUPS:
        subscription, setup = open_replacement(user_id=user_id, setup_id=payment_id)
        outcome = send_setup(setup)
        if not isinstance(outcome, Refused):
            url = outcome.value.payment_url if isinstance(outcome, Accepted) else ""
            return Checkout(subscription, setup_url=url, has_setup=True)
    return Checkout(forget_for_replacement(user_id=user_id, at=at))


@writes.atomic()
def open_replacement(*, user_id: UUID, setup_id: UUID) -> tuple[Subscription, MethodSetup]:
    """Commit a set-up of another method, or find the open one. Raises NoSubscription, NothingToPay, AccountClosed."""
    lock_open_account(user_id)
    subscription = lock_live(user_id)
    plan = _plan_to_pay(subscription)
    setup = open_setup(setup_id=setup_id, correlation_id=subscription.pk, payer_id=user_id, currency=plan.currency)
    return subscription, setup


def _plan_to_pay(subscription: Subscription) -> Plan:
    """The plan of the next period. Raises NothingToPay."""
    plan = plan_at_renewal(subscription)
    if plan.is_free:
        raise NothingToPay("A free plan needs no payment method.")
    return plan


@writes.atomic()
def forget_for_replacement(*, user_id: UUID, at: datetime) -> Subscription:
    """Forget the saved method of a subscription that goes on. Raises NoSubscription, NothingToPay."""
    subscription = lock_live(user_id)
    _plan_to_pay(subscription)
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
