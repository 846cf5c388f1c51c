"""When a period ends, and when the sweep has to process a subscription."""

from calendar import monthrange
from datetime import UTC, date, datetime

from django.conf import settings

from subscriptions.models import Plan, SubscriptionInvoice

_MONTHS = {Plan.Interval.MONTH.value: 1, Plan.Interval.YEAR.value: 12}


def end_of(start_at: datetime, interval: str, *, anchor_day: int) -> datetime:
    """The end of the period that starts at `start_at`: the anchor day of a later month, or that month's last day."""
    months = start_at.month - 1 + _MONTHS[interval]
    year, month = start_at.year + months // 12, months % 12 + 1
    return start_at.replace(year=year, month=month, day=min(anchor_day, monthrange(year, month)[1]))


def renewal_due_at(
    period_end_at: datetime, *, reminds: bool, at: datetime, card_expires_on: date | None = None
) -> datetime:
    """When a period's end has to be processed: ahead of it if the subscriber is to be reminded, else when it comes.

    Sooner if their card expires before it: immediately if that is very soon. Once they are warned, the caller names
    no expiry any more.
    """
    if not reminds:
        return period_end_at
    reminds_at = period_end_at - settings.SUBSCRIPTION_REMINDER_BEFORE
    warns_at = card_warning_at(card_expires_on)
    if warns_at is not None:
        reminds_at = min(reminds_at, warns_at)
    return max(at, reminds_at)


def card_warning_at(expires_on: date | None) -> datetime | None:
    """When a subscriber is warned that their saved card expires."""
    if expires_on is None:
        return None
    return datetime(expires_on.year, expires_on.month, expires_on.day, tzinfo=UTC) - (
        settings.SUBSCRIPTION_CARD_WARNING_BEFORE
    )


def grace_ends_at(invoice: SubscriptionInvoice) -> datetime:
    """Until when the last period still gives access while its renewal is unpaid."""
    return invoice.period_start_at + settings.SUBSCRIPTION_GRACE


def retry_due_at(invoice: SubscriptionInvoice, *, failing_since_at: datetime, charges: int) -> datetime | None:
    """When an unpaid renewal is charged again after `charges` charges; None: never, or only after the grace period."""
    delays = settings.SUBSCRIPTION_RETRY_AFTER[charges - 1 :]
    due_at: datetime | None = failing_since_at + delays[0] if delays else None
    return due_at if due_at is not None and due_at < grace_ends_at(invoice) else None
