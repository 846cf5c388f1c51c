"""The end of every subscription of a user whose account is closed: nothing is charged to them any more."""

from datetime import datetime
from uuid import UUID

from django.db import connection

from subscriptions import invoices
from subscriptions.models import Subscription
from subscriptions.states import LIVE, InvoiceStatus, SubscriptionStatus
from veza.core import writes
from veza.core.causes import Cause
from veza.core.states import move


def live_subscription_of(user_id: UUID) -> Subscription | None:
    """The subscription that a closing ends."""
    return Subscription.objects.filter(user=user_id, status__in=LIVE).select_related("plan").first()


def end_subscriptions(user_id: UUID, /, *, cause: Cause, at: datetime) -> None:
    """Cancel the live subscription and void every unpaid invoice, also of one that expired and could be paid late.

    In the caller's transaction, which has locked the account. A charge that succeeds all the same is returned by
    itself: a void invoice is paid by nothing. The sweep closes payment pages. The closing notice is the only e-mail.
    """
    assert connection.in_atomic_block, "subscriptions end in the commit that closes the account"
    payable_late = (*LIVE, SubscriptionStatus.EXPIRED)
    for subscription in Subscription.objects.locked().filter(user=user_id, status__in=payable_late):
        if subscription.status in LIVE:
            move(subscription, SubscriptionStatus.CANCELLED, cause=cause, at=at, ended_at=at, due_at=at)
        else:
            writes.update(subscription, due_at=at)
        invoices.close_invoices(subscription, InvoiceStatus.VOID, cause=cause, at=at)


@writes.atomic()
def end_for_inactive_user(user_id: UUID, /, *, cause: Cause, at: datetime) -> None:
    """The same for the sweep that meets a subscription whose user may not log in, however that came about."""
    end_subscriptions(user_id, cause=cause, at=at)
