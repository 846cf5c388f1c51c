"""The money timeline: what every floor tells of one story, side by side, in the order it happened."""

from uuid import UUID

from django.apps import apps

import connect.reporting.timeline
import marketplace.timeline
import payments.timeline
import subscriptions.timeline
from veza.backoffice.order_history import actions_in
from veza.core.models import ProviderCall, ReviewItem, StatusChange
from veza.core.timeline import TimelineLine

FLOORS = (payments.timeline, subscriptions.timeline, marketplace.timeline, connect.reporting.timeline)
# What one commit did carries one time: the news first, then what followed from it.
ORDER_WITHIN_A_MOMENT = ("act", "open", "call", "delivery", "move", "posting", "case")


def timeline_of(correlation_id: UUID) -> list[TimelineLine]:
    """Everything that happened in the story of one order or subscription, oldest first."""
    told = [line for floor in FLOORS for line in floor.lines(correlation_id)]
    told += [*actions_in(correlation_id), *_moves(correlation_id), *_calls(correlation_id), *_cases(correlation_id)]
    return sorted(told, key=lambda line: (line.at, ORDER_WITHIN_A_MOMENT.index(line.kind)))


def next_steps_of(correlation_id: UUID) -> list[str]:
    """What will happen next, and what may."""
    return [step for floor in FLOORS for step in floor.next_steps(correlation_id)]


def _moves(correlation_id: UUID) -> list[TimelineLine]:
    told = []
    for change in StatusChange.objects.filter(correlation_id=correlation_id):
        thing = apps.get_model(change.machine)._meta.verbose_name
        by = " ".join(part for part in (change.cause_kind, change.actor) if part)
        because = f": {change.reason.rstrip('.')}" if change.reason else ""
        steps = " to ".join(status.replace("_", " ") for status in (change.from_status, change.to_status))
        sentence = f"The {thing} {str(change.subject_id)[-8:]} went from {steps} (by {by}{because})."
        told.append(TimelineLine(change.at, sentence, "move"))
    return told


def _calls(correlation_id: UUID) -> list[TimelineLine]:
    told = []
    for call in ProviderCall.objects.filter(correlation_id=correlation_id):
        detail = f", {call.detail}" if call.detail else ""
        told.append(
            TimelineLine(
                call.at,
                f"We called {call.provider.capitalize()}: {call.method} {call.path}, "
                f"{call.outcome} after {call.milliseconds} ms{detail}.",
                "call",
            )
        )
    return told


def _cases(correlation_id: UUID) -> list[TimelineLine]:
    told = []
    for case in ReviewItem.objects.filter(correlation_id=correlation_id):
        told.append(
            TimelineLine(case.opened_at, f"A case was opened for an operator: {case.why} {case.what_to_do}", "case")
        )
        if case.closed_at is not None:
            told.append(
                TimelineLine(case.closed_at, f"{case.closed_by} closed the case ({case.kind}): {case.note}", "case")
            )
    return told
