"""Messages that tell one thing's states, such as a dispute that a bank decides and decides again.

Each state is told when it is another than the last that its reader was told, however often it comes back; what changes
and changes back before an e-mail is sent is not told at all.
"""

from datetime import timedelta
from uuid import UUID

from django.db import models
from django.db.models import Q

from veza.core.email.messages import Message, all_messages
from veza.core.email.outbox import write_email
from veza.core.models import Email, EmailStatus, KeyedRow, User

_TIME = "#"
# An e-mail that may have reached its reader: an attempt whose answer was lost may have delivered it.
_MAY_BE_TOLD = (
    Q(status__in=(EmailStatus.SENT, EmailStatus.FAILED))
    | Q(status=EmailStatus.WAITING, attempts__gt=0)
    | Q(status=EmailStatus.DROPPED, attempts__gt=1)
)


def write_email_if_changed(
    message: Message, subject: KeyedRow | User, *, to: UUID, occasion: str, after: timedelta = timedelta(0)
) -> None:
    """Write `message` of a series in the caller's transaction, unless it waits already or was the last that was told.

    `occasion` completes what the message says about the state. The caller has locked the subject. See `write_email`.
    """
    assert message.series, "a message that tells a state belongs to a series"
    earlier = list(_series(message, subject.pk, to).only("message", "occasion", "status"))
    alive = [row for row in earlier if row.status != EmailStatus.DROPPED]
    state = (message.name, occasion)
    is_last = bool(alive) and _state(alive[0]) == state
    if is_last or any(_state(row) == state and row.status == EmailStatus.WAITING for row in alive):
        return
    if message.is_all_clear and not alive:
        return
    times = sum(_state(row) == state for row in earlier)
    write_email(message, subject, to=to, occasion=f"{occasion}{_TIME}{times + 1}" if times else occasion, after=after)


def why_not_told(email: Email, message: Message) -> str:
    """Why `email`, whose turn has come, tells its reader nothing new; empty if it does, or is of no series."""
    if not message.series or email.recipient_id is None:
        return ""
    last = _series(message, email.subject_id, email.recipient_id).filter(_MAY_BE_TOLD, pk__lt=email.pk).first()
    if last is None and message.is_all_clear:
        return "The recipient was told nothing that this would end."
    if last is not None and _state(last) == _state(email):
        return "It is what the recipient was told last: it changed and changed back."
    return ""


def fact_of(occasion: str) -> str:
    """What an occasion of `write_email_if_changed` says, without which time it is that it is told."""
    return occasion.partition(_TIME)[0]


def _series(message: Message, subject_id: UUID, to: UUID) -> models.QuerySet[Email]:
    """What was written to `to` about the states of the subject, newest first."""
    names = [each.name for each in all_messages() if each.series == message.series]
    return Email.objects.filter(subject_id=subject_id, message__in=names, recipient=to, copy_of=None).order_by("-pk")


def _state(row: Email) -> tuple[str, str]:
    return row.message, fact_of(row.occasion)
