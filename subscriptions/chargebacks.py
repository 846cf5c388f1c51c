"""A subscriber whose bank disputes a payment is not charged without being asked.

An open dispute over any payment of a subscription, or a lost one, stops the charges of its saved method, until staff
clear it, the bank decides for us, or the subscriber pays on a page again, also on one that was open already. Whether
charges are stopped is read from the disputes each time, so that no update can leave it wrong.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet

from payments.models import Dispute, Payment
from payments.states import DISPUTE_LOST, DISPUTE_UNDER_WAY, PaymentStatus
from subscriptions.models import Subscription
from subscriptions.states import ENTITLING, SubscriptionStatus
from veza.core import writes
from veza.core.causes import Cause
from veza.core.errors import NotAllowed
from veza.core.models import StatusChange
from veza.core.money import format_amount
from veza.core.reviews import close_review, open_review

CHARGES_STOPPED = "subscription_charges_stopped"
# The bank only asks about it: nothing was taken, and one that is over says nothing against the payment.
_INQUIRY = "pre_dispute"


class ChargesNotStopped(NotAllowed):
    code = "charges_not_stopped"
    http_status = 409


def stopping_disputes(subscription: Subscription) -> QuerySet[Dispute]:
    """The disputes for which the saved method of the subscription is not charged, oldest first."""
    disputed_at = OuterRef("created_at")
    # A bank debit was agreed to when it began to be processed, not when the bank answered.
    begun_before = StatusChange.objects.filter(
        subject_id=OuterRef("pk"), to_status=PaymentStatus.PROCESSING, at__lte=OuterRef(OuterRef("created_at"))
    )
    paid_since = Payment.objects.filter(
        Q(created_at__gt=disputed_at) | Q(succeeded_at__gt=disputed_at) & ~Exists(begun_before),
        purpose=Payment.Purpose.INVOICE,
        correlation_id=subscription.pk,
        off_session=False,
        status=PaymentStatus.SUCCEEDED,
    ).exclude(pk=OuterRef("payment"))
    is_lost = Q(status__in=DISPUTE_LOST) & ~Q(stage=_INQUIRY)
    disputes = Dispute.objects.filter(Q(status__in=DISPUTE_UNDER_WAY) | is_lost, ~Exists(paid_since))
    if subscription.disputes_cleared_at is not None:
        disputes = disputes.filter(created_at__gt=subscription.disputes_cleared_at)
    return disputes.filter(correlation_id=subscription.pk).order_by("created_at")


def are_charges_stopped(subscription: Subscription) -> bool:
    """Whether only a payment page may collect for this subscription, whatever method it has saved."""
    return stopping_disputes(subscription).exists()


def follow_disputes(subscription: Subscription, *, at: datetime) -> None:
    """Open the review item while charges are stopped; else close it, and let an unpaid renewal be charged.

    The subscription is locked.
    """
    dispute = stopping_disputes(subscription).first()
    if dispute is None:
        close_review(CHARGES_STOPPED, subscription, note="No dispute stops the charges any more.")
        if subscription.status == SubscriptionStatus.PAST_DUE:
            writes.update(subscription, due_at=at)
        return
    if subscription.status not in ENTITLING:
        return  # Nothing would be charged.
    amount = format_amount(dispute.amount_minor, dispute.currency)
    open_review(
        CHARGES_STOPPED,
        subscription,
        why=f"The subscriber's bank disputes a payment of {amount}. Their saved payment method is not charged.",
        what_to_do="Support: ask the subscriber. Press “Resume charges” if the subscription is to go on, or “Cancel "
        "immediately”. A payment on a page clears it too.",
        amount_minor=dispute.amount_minor,
        currency=dispute.currency,
    )


@writes.atomic()
def resume_charges(*, subscription_id: UUID, cause: Cause, at: datetime) -> Subscription:
    """Charge the saved method again in spite of the disputes so far. Raises ChargesNotStopped."""
    subscription = Subscription.objects.locked().get(pk=subscription_id)
    if not are_charges_stopped(subscription):
        raise ChargesNotStopped("No dispute stops the charges of this subscription.")
    fields: dict[str, Any] = {"disputes_cleared_at": at}
    if subscription.status == SubscriptionStatus.PAST_DUE:
        fields["due_at"] = at
    writes.update(subscription, **fields)
    close_review(CHARGES_STOPPED, subscription, note=cause.reason)
    return subscription
