"""The method that renewals charge: its subscriber revokes it, saves another one, or has it deleted."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from django.db import connection

from payments.collection.method_deletions import delete_soon
from subscriptions.models import Subscription
from subscriptions.periods import renewal_due_at
from subscriptions.states import LIVE, RENEWING, SubscriptionStatus
from veza.core import writes
from veza.core.causes import Cause


def method_revoked(payment_method_id: str, /, *, cause: Cause, at: datetime) -> UUID | None:
    """Charge this method for no subscription any more; returns the id of the newest one that had it.

    A subscriber who was told that the method will be charged is reminded again, with the page to pay on instead.
    """
    assert connection.in_atomic_block, "a method is cleared in the transaction that learns of its revocation"
    assert payment_method_id, "only a saved method can be revoked"
    own = Subscription.objects.filter(hyperswitch_payment_method_id=payment_method_id)
    subscriptions = list(own.locked().order_by("pk"))
    for subscription in subscriptions:
        writes.update(subscription, **fields_without_method(subscription, at=at))
    return subscriptions[-1].pk if subscriptions else None


def method_saved(
    subscription_id: UUID, payment_method_id: str, card_expires_on: date | None, /, *, at: datetime
) -> bool:
    """Charge this method from now on, which its subscriber saved without a payment; the one before is deleted.

    False if the subscription has ended: nothing will be charged.
    """
    assert connection.in_atomic_block, "a method is stored in the transaction that learns of it"
    subscription = Subscription.objects.locked().filter(pk=subscription_id, status__in=LIVE).first()
    if subscription is None:
        return False
    before = subscription.hyperswitch_payment_method_id
    if before and before != payment_method_id:
        delete_soon(before, correlation_id=subscription.pk)
    fields: dict[str, Any] = {"hyperswitch_payment_method_id": payment_method_id, "method_expires_on": card_expires_on}
    end_at = subscription.period_end_at
    if subscription.status in RENEWING and end_at is not None and at < end_at:
        reminds = not subscription.cancel_at_period_end
        fields["due_at"] = renewal_due_at(end_at, reminds=reminds, at=at, card_expires_on=card_expires_on)
    writes.update(subscription, **fields)
    return True


def fields_without_deleted_method(subscription: Subscription, *, at: datetime) -> dict[str, Any]:
    """The same, and Hyperswitch is to delete the method, in the caller's transaction."""
    if subscription.hyperswitch_payment_method_id:
        delete_soon(subscription.hyperswitch_payment_method_id, correlation_id=subscription.pk)
    return fields_without_method(subscription, at=at)


def fields_without_method(subscription: Subscription, *, at: datetime) -> dict[str, Any]:
    """What changes when the saved method is charged no more: who was told that it will be is reminded again."""
    fields: dict[str, Any] = {"hyperswitch_payment_method_id": "", "method_expires_on": None}
    is_reminded = (
        subscription.reminded_for_at is not None and subscription.reminded_for_at == subscription.period_end_at
    )
    if is_reminded and subscription.status in (SubscriptionStatus.TRIALING, SubscriptionStatus.ACTIVE):
        fields |= {"reminded_for_at": None, "due_at": at}
    return fields
