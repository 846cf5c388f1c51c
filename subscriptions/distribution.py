"""Handing in a work for distribution: for those whose plan includes it and is paid for."""

from datetime import datetime
from uuid import UUID

from django.db import transaction

from subscriptions.access import refuse_unless_may_distribute
from subscriptions.models import DistributionSubmission


@transaction.atomic
def submit(
    *, submission_id: UUID, user_id: UUID, title: str, artist: str, note: str, at: datetime
) -> DistributionSubmission:
    """Take in a work for distribution. Asking again with the same id returns the first submission.

    Raises SubscriptionPaymentRequired, PlanDoesNotAllow.
    """
    if earlier := DistributionSubmission.objects.filter(pk=submission_id, user=user_id).first():
        return earlier
    effective = refuse_unless_may_distribute(user_id, at=at)
    return DistributionSubmission.objects.create(
        pk=submission_id,
        user_id=user_id,
        subscription=effective.subscription,
        title=title,
        artist=artist,
        note=note,
    )
