"""The history of an order or a subscription: the lines of all floors in the order in which they happened."""

from uuid import UUID

from django.apps import apps

import connect.reporting.timeline
import marketplace.timeline
import payments.timeline
import subscriptions.timeline
from veza.backoffice import action_log
from veza.core.models import Email, EmailStatus, ProviderCall, ReviewItem, StatusChange
from veza.core.states import machine_name
from veza.core.timeline import TimelineLine
from veza.core.words import format_status

FLOORS = (payments.timeline, subscriptions.timeline, marketplace.timeline, connect.reporting.timeline)
PROVIDERS = {"hyperswitch": "Hyperswitch", "stripe": "Stripe", "smtp": "the mail server"}
# All rows of one commit have the same time: the cause comes first, then its consequences.
ORDER_WITHIN_A_MOMENT = ("action", "open", "call", "delivery", "move", "posting", "email", "review")


def timeline_of(correlation_id: UUID) -> list[TimelineLine]:
    """Everything that happened to one order or subscription, oldest first."""
    lines = [line for floor in FLOORS for line in floor.lines(correlation_id)]
    lines += [*action_log.lines(correlation_id), *_moves(correlation_id)]
    lines += [*_calls(correlation_id), *_emails(correlation_id), *_reviews(correlation_id)]
    return sorted(lines, key=lambda line: (line.at, ORDER_WITHIN_A_MOMENT.index(line.kind)))


def next_steps_of(correlation_id: UUID) -> list[str]:
    """What will happen next, and what may."""
    return [step for floor in FLOORS for step in floor.next_steps(correlation_id)]


def _emails(correlation_id: UUID) -> list[TimelineLine]:
    """What was sent to whom, and what was not sent and why."""
    own = Email.objects.filter(correlation_id=correlation_id).select_related("recipient")
    emails = {email.pk: email for email in own}
    changes = StatusChange.objects.filter(correlation_id=correlation_id, machine=machine_name(Email))
    return [TimelineLine(change.at, _describe_email(emails[change.subject_id]), "email") for change in changes]


def _describe_email(email: Email) -> str:
    name = email.subject_line or email.message.replace("_", " ")
    address = email.address or (email.recipient.email if email.recipient else "")
    if email.status == EmailStatus.SENT:
        return f"The e-mail “{name}” was sent to {address}."
    return f"The e-mail “{name}” to {address} was not sent: {email.last_error}"


def _moves(correlation_id: UUID) -> list[TimelineLine]:
    lines = []
    for change in StatusChange.objects.filter(correlation_id=correlation_id).exclude(machine=machine_name(Email)):
        thing = apps.get_model(change.machine)._meta.verbose_name
        by = " ".join(part for part in (change.cause_kind, change.actor) if part)
        reason = f"; reason: {change.reason.rstrip('.')}" if change.reason else ""
        move = f"{format_status(change.from_status)} to {format_status(change.to_status)}"
        sentence = f"The {thing} {str(change.subject_id)[-8:]} went from {move} (by {by}{reason})."
        lines.append(TimelineLine(change.at, sentence, "move"))
    return lines


def _calls(correlation_id: UUID) -> list[TimelineLine]:
    lines = []
    for call in ProviderCall.objects.filter(correlation_id=correlation_id):
        detail = f", {call.detail}" if call.detail else ""
        sentence = f"Call to {PROVIDERS[call.provider]}: {call.method} {call.path}, {call.outcome} after "
        lines.append(TimelineLine(call.at, f"{sentence}{call.milliseconds} ms{detail}.", "call"))
    return lines


def _reviews(correlation_id: UUID) -> list[TimelineLine]:
    lines = []
    for item in ReviewItem.objects.filter(correlation_id=correlation_id):
        lines.append(TimelineLine(item.opened_at, f"Review item opened: {item.why} {item.what_to_do}", "review"))
        if item.closed_at is not None:
            sentence = f"{item.closed_by} closed the review item ({format_status(item.kind)}): {item.note}"
            lines.append(TimelineLine(item.closed_at, sentence, "review"))
    return lines
