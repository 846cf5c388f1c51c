"""Cases for an operator: what only a person can decide."""

from veza.core.models import OperatorCase, StatefulRow, story_of


def open_case(
    kind: str,
    subject: StatefulRow,
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
