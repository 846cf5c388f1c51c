"""Writing an e-mail: a row in the commit of the fact that it is about. A worker sends it, and the web never waits."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import structlog
from django.db import connection, transaction
from django.db.models.functions import Now

from veza.core import writes
from veza.core.causes import Cause
from veza.core.email.messages import Message
from veza.core.errors import NotAllowed
from veza.core.models import Email, EmailStatus, KeyedRow, User
from veza.core.reviews import close_review

log = structlog.get_logger(__name__)
# The review item of an e-mail that was not sent.
EMAIL_FAILED = "email_failed"


class EmailNotResendable(NotAllowed):
    code = "email_not_resendable"
    http_status = 409


def draft(
    message: Message, subject: KeyedRow | User, *, to: UUID, occasion: str = "", after: timedelta = timedelta(0)
) -> Email:
    """`message` about `subject` for the user `to`, to be written by `write_emails`.

    `occasion` tells apart what may happen to a subject more than once. It is sent when the time `after` is over, if it
    is still true then.
    """
    return Email(
        message=message.name,
        recipient_id=to,
        subject=subject._meta.label_lower,
        subject_id=subject.pk,
        occasion=occasion,
        next_attempt_at=Now() + after if after else Now(),
        correlation_id=getattr(subject, "correlation_id", None) or subject.pk,
    )


def write_email(
    message: Message, subject: KeyedRow | User, *, to: UUID, occasion: str = "", after: timedelta = timedelta(0)
) -> None:
    """Write `message` about `subject` to the user `to`, in the caller's transaction: see `draft` and `write_emails`."""
    write_emails([draft(message, subject, to=to, occasion=occasion, after=after)])


def write_emails(emails: Sequence[Email]) -> None:
    """Write drafts in the caller's transaction, in one statement.

    The same message about the same subject is written once for each recipient: a webhook that arrives again, a replay
    or a second worker adds none.
    """
    assert connection.in_atomic_block, "an e-mail is written in the commit of the fact that it is about"
    writes.insert(emails, ignore_conflicts=True)


def write_group_email(
    message: Message, *, address: str, language: str, subject: str, subject_id: UUID, occasion: str
) -> None:
    """Write `message` to an address of ours that is no user's, in the language of who reads there."""
    email = Email(
        message=message.name,
        address=address,
        language=language,
        subject=subject,
        subject_id=subject_id,
        occasion=occasion,
        correlation_id=subject_id,
    )
    write_emails([email])


def resend(*, email_id: UUID, copy_id: UUID, cause: Cause) -> Email:
    """Write a copy of an e-mail that was sent or that failed; a worker sends it to the recipient's address of then.

    Asking again with the same id returns the first copy. Raises EmailNotResendable.
    """
    with transaction.atomic():
        first = Email.objects.locked().get(pk=email_id)
        if earlier := Email.objects.filter(pk=copy_id, copy_of=first).first():
            return earlier
        if first.status not in (EmailStatus.SENT, EmailStatus.FAILED):
            raise EmailNotResendable(f"Only a sent or failed e-mail can be resent; this one is {first.status}.")
        copied = ("message", "recipient_id", "language", "subject", "subject_id", "occasion", "correlation_id")
        fields = {name: getattr(first, name) for name in copied}
        address = "" if first.recipient_id else first.address
        copy = Email.objects.create(pk=copy_id, copy_of=first, address=address, **fields)
        close_review(EMAIL_FAILED, first, note=f"Resent by {cause.actor}.")
    log.info("email_resent", email=str(email_id), copy=str(copy_id), by=cause.actor)
    return copy
