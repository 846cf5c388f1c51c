"""Signed events that Veza does not know or cannot read: nothing is applied, and support is told once a day.

Sending such an event again would change nothing, so it is answered 200: otherwise Hyperswitch would repeat it for 24
hours and Stripe for three days, and a provider may switch an endpoint off that refuses for long.
"""

from datetime import datetime, timedelta

import structlog
from django.db import connection

from payments.models import WebhookDelivery
from veza.core.models import ReviewItem
from veza.core.reviews import close_review, open_review

log = structlog.get_logger(__name__)
UNKNOWN_EVENT = "unknown_event"
UNREADABLE_EVENT = "unreadable_event"
KINDS = (UNKNOWN_EVENT, UNREADABLE_EVENT)
ONE_PER = timedelta(days=1)
_SHOWN = 100  # Characters of a text that the sender chose.


class UnreadableEvent(ValueError):
    """The body is JSON with a valid signature, in a shape that we do not know, or it contradicts our rows.

    The text names the field. `event_id` and `event_type` are "" when the envelope does not have them.
    """

    def __init__(self, why: str, *, event_id: object = "", event_type: object = "") -> None:
        super().__init__(why)
        self.event_id, self.event_type = event_id, event_type


def open_review_of_unknown_event(
    delivery: WebhookDelivery, *, event_id: object, event_type: object, at: datetime
) -> None:
    """The type is in no list of ours: neither handled nor ignored on purpose."""
    _open_review(UNKNOWN_EVENT, delivery, f"{_name(event_id, event_type)} is of a type that Veza does not know.", at=at)


def open_review_of_unreadable_event(delivery: WebhookDelivery, error: UnreadableEvent, *, at: datetime) -> None:
    """The envelope, or the object of a known type, lacks what we need."""
    name = _name(error.event_id, error.event_type)
    _open_review(UNREADABLE_EVENT, delivery, f"{name} could not be read: {error}.", at=at)


def close_review_of_event(delivery: WebhookDelivery, *, note: str) -> None:
    """Close what is open about this delivery: it has been replayed, and was applied."""
    for kind in KINDS:
        close_review(kind, delivery, note=note)


def _open_review(kind: str, delivery: WebhookDelivery, why: str, *, at: datetime) -> None:
    """Open an item, unless this provider already has one of the last 24 hours, closed ones included."""
    log.warning(kind, delivery=str(delivery.pk), provider=delivery.provider, why=why)
    assert connection.in_atomic_block, "the review item and the delivery's row are one commit"
    with connection.cursor() as cursor:  # Deliveries that arrive together open one item.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"unknown:{delivery.provider}"])
    provider = delivery.provider.capitalize()
    recent = ReviewItem.objects.filter(kind__in=KINDS, opened_at__gt=at - ONE_PER)
    if recent.filter(why__startswith=f"{provider}'s event").exists():
        return
    open_review(
        kind,
        delivery,
        why=f"{provider}'s {why} It was answered 200 and changed nothing. Others of the next 24 hours are in the "
        "webhook log only.",
        what_to_do=f"Support: compare the stored payload with the object in {provider}'s dashboard and see whether "
        "money moved that Veza does not show. After an update of Veza that can read it, press “Replay webhook” on the "
        "delivery's page; otherwise close this item.",
    )


def _name(event_id: object, event_type: object) -> str:
    return f"event {_show(event_type) or 'without a type'} ({_show(event_id) or 'without an id'})"


def _show(value: object) -> str:
    return f"{value[:_SHOWN]!a}" if isinstance(value, str) and value else ""
