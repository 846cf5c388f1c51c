"""What happens around a price in a test: staff make a new version, announce it, and the e-mails are sent."""

from datetime import datetime
from typing import Any

from subscriptions.models import Plan, PriceChange
from subscriptions.price_changes import announce, tell_subscribers
from tests.subscriptions.subscribing import NOW, PlanFactory
from veza.core.causes import Cause
from veza.core.ids import new_id
from veza.core.models import Email

BY_STAFF = Cause("staff", actor="finance@example.com", reason="Costs rose.")


def next_version(plan: Plan, price_minor: int, **fields: Any) -> Plan:
    """The version of `plan` that new subscribers get, at another price."""
    Plan.objects.filter(name=plan.name).update(active=False)
    return PlanFactory(name=plan.name, version=plan.version + 1, price_minor=price_minor, **fields)


def announce_price(plan: Plan, price_minor: int, *, at: datetime = NOW, sent: bool = True) -> PriceChange:
    """Have the subscribers of `plan` told of another price; `sent`: their e-mails left at `at`."""
    next_version(plan, price_minor)
    change = announce(price_change_id=new_id(), plan_id=plan.pk, cause=BY_STAFF, at=at)
    tell(change, at=at, sent=sent)
    return change


def tell(change: PriceChange, *, at: datetime = NOW, sent: bool = True) -> None:
    """One round of the sweep, and of the mail server."""
    tell_subscribers(change.pk, cause=BY_STAFF, at=at)
    change.refresh_from_db()
    if sent:
        send_emails(at=at)


def send_emails(*, at: datetime) -> None:
    waiting = Email.objects.filter(status="waiting", message__startswith="price_change")
    waiting.update(status="sent", sent_at=at, next_attempt_at=None)
