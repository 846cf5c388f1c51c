"""Who pressed which button, why, and what came of it."""

from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction

from veza.backoffice.models import StaffAction
from veza.core.admin_actions import AdminAction
from veza.core.causes import Cause


def begin(act_id: UUID, act: AdminAction, row: Any, *, cause: Cause) -> str:
    """Keep that this is done now. A sentence about who was first, if this very press is kept already."""
    assert cause.id is not None, "only a person presses buttons"
    try:
        with transaction.atomic():
            StaffAction.objects.create(
                id=act_id,
                act=act.name,
                label=act.label,
                subject=row._meta.label_lower,
                subject_id=str(row.pk),
                correlation_id=getattr(row, "correlation_id", None),
                person_id=cause.id,
                reason=cause.reason,
                request_id=cause.request_id,
            )
    except IntegrityError:
        first = StaffAction.objects.select_related("person").get(pk=act_id)
        came = first.sentence or "it is under way."
        return f"Already done by {first.person.email} at {first.at:%Y-%m-%d %H:%M:%S} UTC: {came}"
    return ""


def end(act_id: UUID, *, word: str, sentence: str) -> None:
    """Keep what came of it."""
    StaffAction.objects.filter(pk=act_id).update(word=word, sentence=sentence)
