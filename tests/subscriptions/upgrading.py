"""A subscriber upgrades in a test: the preview, then the request that agrees to it."""

from datetime import datetime
from typing import Any

from django.utils import timezone

from subscriptions.checkout import Checkout
from subscriptions.models import Plan, Subscription
from subscriptions.upgrades import preview_upgrade, request_upgrade
from tests.subscriptions.subscribing import BY_USER, PlanFactory, activate, days
from veza.core.ids import new_id


def midway(sandbox, **fields: Any) -> Subscription:
    """A subscription to a plan of 10.00 and 20 % tax, paid ten days ago."""
    return activate(sandbox, PlanFactory(**fields), at=timezone.now() - days(10))


def dearer(**fields: Any) -> Plan:
    return PlanFactory(**({"price_minor": 30_00} | fields))


def upgrade(subscription: Subscription, plan: Plan, *, at: datetime | None = None, **fields: Any) -> Checkout:
    """Upgrade as previewed at the same moment."""
    at = at or timezone.now()
    quote = preview_upgrade(user_id=subscription.user_id, plan_id=plan.pk, at=at)
    params = {
        "invoice_id": new_id(),
        "user_id": subscription.user_id,
        "plan_id": plan.pk,
        "quoted_at": quote.start_at,
        "expected_total_minor": quote.total_minor,
        "at": at,
    }
    checkout = request_upgrade(cause=BY_USER, **(params | fields))
    subscription.refresh_from_db()
    return checkout
