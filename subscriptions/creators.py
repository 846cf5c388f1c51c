"""What a creator does besides selling: becoming a seller, and submitting works for distribution.

Listing a work for sale and submitting one need a plan that includes it and is paid for: `access` decides.
"""

from datetime import datetime
from uuid import UUID

from django.db import transaction

from payments.ledger.chart_of_accounts import seller_account
from payments.ledger.postings import open_accounts
from subscriptions.access import refuse_unless_may_distribute
from subscriptions.models import DistributionSubmission
from veza.core.models import User


@transaction.atomic
def become_creator(*, user_id: UUID, at: datetime) -> User:
    """Make the user a seller, with an account in the ledger. The date of the first request stays."""
    User.objects.filter(pk=user_id, seller_since_at=None).update(seller_since_at=at)
    open_accounts([seller_account(user_id)])
    return User.objects.get(pk=user_id)


@transaction.atomic
def submit_work(
    *, submission_id: UUID, user_id: UUID, title: str, artist: str, note: str, at: datetime
) -> DistributionSubmission:
    """Submit a work for distribution. Requesting again with the same id returns the first submission.

    Raises SubscriptionPaymentRequired, PlanDoesNotAllow.
    """
    if earlier := DistributionSubmission.objects.filter(pk=submission_id, user=user_id).first():
        return earlier
    payment = refuse_unless_may_distribute(user_id, at=at)
    return DistributionSubmission.objects.create(
        pk=submission_id,
        user_id=user_id,
        subscription=payment.subscription,
        title=title,
        artist=artist,
        note=note,
    )
