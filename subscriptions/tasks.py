"""The sweeps of due subscriptions and of price changes."""

from celery import shared_task
from django.utils import timezone

from subscriptions.models import PriceChange, Subscription
from subscriptions.price_changes import tell_subscribers
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


@shared_task(name="subscriptions.announce_prices")
def announce_prices(**_newer: object) -> None:
    """Write to subscribers about the prices that were announced and withdrawn."""
    cause = by_sweep("subscriptions.announce_prices")
    tick(
        "subscriptions.announce_prices",
        Queue(PriceChange.objects.all(), due="due_at", lease=LEASE),
        lambda change: tell_subscribers(change.pk, cause=cause, at=timezone.now()),
    )
