"""The daily digest of open review items for staff: how many, how much money, how old."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Min, Sum
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from veza.backoffice.review_labels import label_of
from veza.core.email.content import Button, Content, Line, Notice, Outdated, Table
from veza.core.email.formats import day, money
from veza.core.email.messages import Audience, Message
from veza.core.email.outbox import write_group_email
from veza.core.models import ReviewItem

# A digest is about no row: it has one fixed subject, and its day is the occasion.
SUBJECT, SUBJECT_ID = "core.reviewitem", UUID("00000000-0000-7000-8000-000000000001")
OLD_AFTER = timedelta(days=2)


@dataclass(frozen=True)
class OpenItems:
    """The open review items of one kind in one currency; those without an amount have no currency."""

    kind: str
    currency: str
    count: int
    amount_minor: int
    oldest_at: datetime


def write_digest(*, at: datetime) -> bool:
    """Write the digest of the day of `at` to REVIEW_DIGEST_ADDRESS; False if there is none, or nothing to say."""
    if not settings.REVIEW_DIGEST_ADDRESS or not ReviewItem.objects.filter(closed_at__isnull=True).exists():
        return False
    with transaction.atomic():
        write_group_email(
            DIGEST,
            address=settings.REVIEW_DIGEST_ADDRESS,
            language=settings.REVIEW_DIGEST_LANGUAGE,
            subject=SUBJECT,
            subject_id=SUBJECT_ID,
            occasion=f"{at:%Y-%m-%d}",
        )
    return True


def open_items() -> list[OpenItems]:
    """The most money first, then the oldest."""
    rows = ReviewItem.objects.filter(closed_at__isnull=True).order_by().values("kind", "currency")
    rows = rows.annotate(several=Count("pk"), amount=Sum("amount_minor"), oldest=Min("opened_at"))
    items = [OpenItems(row["kind"], row["currency"], row["several"], row["amount"], row["oldest"]) for row in rows]
    return sorted(items, key=lambda each: (-each.amount_minor, each.oldest_at))


def _digest(_subject_id: UUID, _occasion: str, /) -> Content | Outdated:
    items = open_items()
    if not items:
        return Outdated("Every review item has been closed.")
    return _compose(items, timezone.now())


def _compose(items: Sequence[OpenItems], at: datetime) -> Content:
    count = sum(each.count for each in items)
    old = sum(at - each.oldest_at > OLD_AFTER for each in items)
    title = ngettext("%(count)s item needs review", "%(count)s items need review", count) % {"count": count}
    kinds = ngettext(
        "Items of %(count)s kind have waited for over two days.",
        "Items of %(count)s kinds have waited for over two days.",
        old,
    )
    return Content(
        subject_line=title,
        headline=title,
        blocks=[
            *([Notice(kinds % {"count": old}, "bad")] if old else []),
            Table([_line(each, at) for each in items], _sums(items)),
            Button(
                _("Open the list"),
                f"{settings.PUBLIC_BASE_URL}{reverse('admin:core_reviewitem_changelist')}?state=open",
            ),
        ],
    )


def _line(items: OpenItems, at: datetime) -> Line:
    days = (at - items.oldest_at).days
    age = ngettext("%(days)s day", "%(days)s days", days) % {"days": days}
    about = {"count": items.count, "day": day(items.oldest_at), "age": age}
    amount = money(items.amount_minor, items.currency) if items.currency and items.amount_minor else ""
    detail = _("%(count)s open, the oldest from %(day)s (%(age)s)") % about
    return Line(label_of(items.kind), amount, detail)


def _sums(items: Sequence[OpenItems]) -> list[Line]:
    totals: dict[str, int] = {}
    for each in items:
        if each.currency:
            totals[each.currency] = totals.get(each.currency, 0) + each.amount_minor
    return [Line(_("In doubt"), money(amount, currency)) for currency, amount in totals.items() if amount]


def _sample() -> Content:
    at = timezone.now()
    return _compose(
        [
            OpenItems("payment_mismatch", "EUR", 2, 310_00, at - timedelta(days=3)),
            OpenItems("refund_returned", "EUR", 1, 60_00, at - timedelta(hours=9)),
            OpenItems("delivery_unsettled", "", 4, 0, at - timedelta(days=1)),
        ],
        at,
    )


DIGEST = Message(
    "review_digest",
    Audience.STAFF,
    "Each morning while review items are open; to REVIEW_DIGEST_ADDRESS.",
    _digest,
    _sample,
)
MESSAGES: Sequence[Message] = (DIGEST,)
