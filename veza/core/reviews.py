"""Cases for an operator: what only a person can decide."""

from collections.abc import Collection
from uuid import UUID

from django.db.models import QuerySet
from django.db.models.functions import Now

from veza.core.causes import Cause
from veza.core.errors import NotAllowed
from veza.core.models import KeyedRow, ReviewItem, correlation_id_of


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
    ReviewItem.objects.bulk_create(
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
    """Let the open case of this kind about `subject`, if there is one, say what is in doubt now."""
    standing = ReviewItem.objects.filter(kind=kind, subject_id=subject.pk, closed_at__isnull=True)
    standing.update(amount_minor=amount_minor)


def close_review(kind: str, *subjects: KeyedRow, note: str) -> None:
    """Close the open cases of this kind about `subjects`, where there are any: what they asked for has come about."""
    about = [subject.pk for subject in subjects]
    _close(ReviewItem.objects.filter(kind=kind, subject_id__in=about), note=note)


def close_reviews(kind: str, *, note: str) -> None:
    """Close every open case of this kind, whatever it is about."""
    _close(ReviewItem.objects.filter(kind=kind), note=note)


def _close(cases: QuerySet[ReviewItem], *, note: str) -> None:
    cases.filter(closed_at__isnull=True).update(closed_at=Now(), closed_by="veza", note=note)


def close_review_by_hand(*, case_id: UUID, cause: Cause) -> None:
    """Close a case that a person has dealt with; the cause's reason is the note. Raises CaseClosed."""
    standing = ReviewItem.objects.filter(pk=case_id, closed_at__isnull=True)
    if not standing.update(closed_at=Now(), closed_by=cause.actor, note=cause.reason):
        case = ReviewItem.objects.get(pk=case_id)
        raise ReviewAlreadyClosed(
            f"Already closed by {case.closed_by} at {case.closed_at:%Y-%m-%d %H:%M:%S} UTC: {case.note}"
        )
