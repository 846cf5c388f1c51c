"""Cases for an operator: what only a person can decide."""

from django.db.models.functions import Now

from veza.core.models import KeyedRow, OperatorCase, story_of


def open_case(
    kind: str,
    subject: KeyedRow,
    *,
    why: str,
    what_to_do: str,
    amount_minor: int = 0,
    currency: str = "",
) -> None:
    """Open a case about `subject`, unless one of this kind is open already. `amount_minor` is what is in doubt."""
    OperatorCase.objects.bulk_create(
        [
            OperatorCase(
                kind=kind,
                subject=subject._meta.label_lower,
                subject_id=subject.pk,
                story_id=story_of(subject),
                amount_minor=amount_minor,
                currency=currency,
                why=why,
                what_to_do=what_to_do,
            )
        ],
        ignore_conflicts=True,
    )


def close_case(kind: str, subject: KeyedRow, *, note: str) -> None:
    """Close the open case of this kind about `subject`, if there is one: what it asked for has come about by itself."""
    standing = OperatorCase.objects.filter(kind=kind, subject_id=subject.pk, closed_at__isnull=True)
    standing.update(closed_at=Now(), closed_by="veza", note=note)
