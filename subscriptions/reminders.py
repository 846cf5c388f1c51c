"""The renewal reminder: an e-mail that says what will be charged, when, and how to cancel."""

from datetime import datetime

from django.conf import settings

from subscriptions.messages.renewals import CARD_EXPIRES, RENEWAL_ANNOUNCED, renewal_occasion
from subscriptions.models import Subscription
from subscriptions.periods import card_warning_at, renewal_due_at
from subscriptions.prices import may_be_charged, plan_at_renewal
from subscriptions.states import RENEWING
from veza.core import writes
from veza.core.email.outbox import write_email
from veza.core.email.series import write_email_if_changed


@writes.atomic()
def remind(subscription: Subscription, *, at: datetime) -> None:
    """Write one reminder for each renewal that will be charged, then wait for the period's end.

    A renewal that changes (another plan, no saved method any more) is announced again, and so is one that changes back.
    """
    subscription = Subscription.objects.locked().get(pk=subscription.pk)
    plan, end_at = plan_at_renewal(subscription), subscription.period_end_at
    if subscription.status not in RENEWING or end_at is None or at >= end_at:
        return  # It was cancelled, or ended, since it was read.
    is_paid_for = not plan.is_free and not subscription.cancel_at_period_end
    expires_on = subscription.method_expires_on
    warns_at = card_warning_at(expires_on)
    is_warned_later = warns_at is not None and at < warns_at
    reminds = may_be_charged(subscription) and not subscription.cancel_at_period_end and not _is_due(end_at, at=at)
    due_at = renewal_due_at(end_at, reminds=reminds, at=at, card_expires_on=expires_on if is_warned_later else None)
    fields: dict[str, object] = {"due_at": due_at}
    if is_paid_for and expires_on is not None and warns_at is not None and at >= warns_at:
        # Once for each card: its expiry is the occasion.
        write_email(CARD_EXPIRES, subscription, to=subscription.user_id, occasion=expires_on.isoformat())
    if is_paid_for and _is_due(end_at, at=at):
        occasion = renewal_occasion(subscription)
        write_email_if_changed(RENEWAL_ANNOUNCED, subscription, to=subscription.user_id, occasion=occasion)
        fields["reminded_for_at"] = end_at
    Subscription.objects.filter(pk=subscription.pk).update(**fields)


def _is_due(end_at: datetime, *, at: datetime) -> bool:
    return at >= end_at - settings.SUBSCRIPTION_REMINDER_BEFORE
