"""Staff actions on record: who performed which, why, and the result."""

from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction

from veza.backoffice.models import StaffAction
from veza.core.admin_actions import AdminAction
from veza.core.causes import Cause
from veza.core.timeline import TimelineLine
from veza.core.words import format_time


def begin(action_id: UUID, action: AdminAction[Any], row: Any, *, cause: Cause) -> str:
    """Record that the action begins. Returns a sentence about the first time if this submission is on record."""
    assert cause.id is not None, "only staff perform actions"
    try:
        with transaction.atomic():
            StaffAction.objects.create(
                id=action_id,
                action=action.name,
                label=action.label,
                subject=row._meta.label_lower,
                subject_id=str(row.pk),
                correlation_id=getattr(row, "correlation_id", None),
                person_id=cause.id,
                reason=cause.reason,
                request_id=cause.request_id,
            )
    except IntegrityError:
        first = StaffAction.objects.select_related("person").get(pk=action_id)
        result = first.sentence or "It is in progress."
        return f"Already done by {first.person.email} on {format_time(first.at)}: {result}"
    return ""


def end(action_id: UUID, *, outcome: str, sentence: str) -> None:
    """Record the result."""
    StaffAction.objects.filter(pk=action_id).update(outcome=outcome, sentence=sentence)


def lines(correlation_id: UUID) -> list[TimelineLine]:
    """The staff actions on an order or a subscription, with their reasons."""
    actions = StaffAction.objects.filter(correlation_id=correlation_id).select_related("person")
    return [
        TimelineLine(
            action.at,
            f"{action.person.email} performed “{action.label}”; reason: {action.reason.rstrip('.')}. "
            f"{action.sentence or 'It never finished.'}",
            "action",
        )
        for action in actions
    ]
