"""Review items: decisions that Veza leaves to staff."""

from collections.abc import Collection
from uuid import UUID

from django.db.models import QuerySet
from django.db.models.functions import Now

from veza.core import writes
from veza.core.causes import Cause
from veza.core.errors import NotAllowed
from veza.core.models import KeyedRow, ReviewItem, correlation_id_of
from veza.core.words import format_time


class ReviewAlreadyClosed(NotAllowed):
    code = "case_closed"
    http_status = 409


def open_review(
    kind: str,
    subject: KeyedRow,
    *,
    why: str,
    what_to_do: str,
    amount_minor: int = 0,
    currency: str = "",
) -> None:
    """Open a review item about `subject`, unless one of this kind is open. `amount_minor` is what is in question."""
    open_review_of(
        kind,
        subject=subject._meta.label_lower,
        subject_id=subject.pk,
        correlation_id=correlation_id_of(subject),
        why=why,
        what_to_do=what_to_do,
        amount_minor=amount_minor,
        currency=currency,
    )


def open_review_of(
    kind: str,
    *,
    subject: str,
    subject_id: UUID,
    correlation_id: UUID | None,
    why: str,
    what_to_do: str,
    amount_minor: int,
    currency: str,
) -> None:
    """The same where no row is in hand, or where the subject is no row."""
    assert amount_minor >= 0, "an amount in question is not negative"
    writes.insert(
        [
            ReviewItem(
                kind=kind,
                subject=subject,
                subject_id=subject_id,
                correlation_id=correlation_id,
                amount_minor=amount_minor,
                currency=currency,
                why=why,
                what_to_do=what_to_do,
            )
        ],
        ignore_conflicts=True,
    )


def close_reviews_except(kind: str, standing: Collection[UUID], *, note: str) -> None:
    """Close every open review item of this kind whose subject is not one of `standing`."""
    _close(ReviewItem.objects.filter(kind=kind).exclude(subject_id__in=standing), note=note)


def update_review_amount(kind: str, subject: KeyedRow, amount_minor: int) -> None:
    """Set the amount in doubt of the open review item of this kind about `subject`, if there is one."""
    matching = [{"kind": kind, "subject_id": subject.pk}]
    writes.update_matching(ReviewItem, matching, nulls=("closed_at",), amount_minor=amount_minor)


def close_review(kind: str, *subjects: KeyedRow, note: str) -> None:
    """Close the open review items of this kind about `subjects`, if any: they are resolved."""
    matching = [{"kind": kind, "subject_id": subject.pk} for subject in subjects]
    writes.update_matching(ReviewItem, matching, nulls=("closed_at",), closed_at=Now(), closed_by="veza", note=note)


def close_reviews(kind: str, *, note: str) -> None:
    """Close every open review item of this kind."""
    _close(ReviewItem.objects.filter(kind=kind), note=note)


def _close(items: QuerySet[ReviewItem], *, note: str) -> None:
    items.filter(closed_at__isnull=True).update(closed_at=Now(), closed_by="veza", note=note)


def close_review_by_hand(*, case_id: UUID, cause: Cause) -> None:
    """Close a review item that staff have resolved; the cause's reason is the note. Raises ReviewAlreadyClosed."""
    item = ReviewItem.objects.filter(pk=case_id, closed_at__isnull=True)
    if not item.update(closed_at=Now(), closed_by=cause.actor, note=cause.reason):
        first = ReviewItem.objects.get(pk=case_id)
        closed_at = format_time(first.closed_at) if first.closed_at else ""
        raise ReviewAlreadyClosed(f"Already closed by {first.closed_by} on {closed_at}: {first.note}")
