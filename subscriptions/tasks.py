"""The sweep of due subscriptions."""

from celery import shared_task
from django.utils import timezone

from subscriptions.models import Subscription
from subscriptions.renewals import run_due
from subscriptions.retry_policy import LEASE
from veza.core.causes import by_sweep
from veza.core.sweeps import Queue, tick


@shared_task(name="subscriptions.run_due")
def run_due_subscriptions(**_newer: object) -> None:
    """Remind, renew, retry and expire, one subscription at a time, until none is due."""
    cause = by_sweep("subscriptions.run_due")
    tick(
        "subscriptions.run_due",
        Queue(Subscription.objects.all(), due="due_at", lease=LEASE),
        lambda subscription: run_due(subscription.pk, cause=cause, at=timezone.now()),
    )
