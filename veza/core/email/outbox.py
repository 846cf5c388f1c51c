"""Writing an e-mail: a row in the commit of the fact that it is about. A worker sends it, and the web never waits."""

from uuid import UUID

from django.db import connection

from veza.core.email.messages import Message
from veza.core.models import Email, KeyedRow


def write_email(message: Message, subject: KeyedRow, *, to: UUID, occasion: str = "") -> None:
    """Write `message` about `subject` to the user `to`, in the caller's transaction.

    The same message about the same subject is written once for each user: a webhook that arrives again, a replay or a
    second worker adds none. `occasion` tells apart what may happen to a subject more than once.
    """
    assert connection.in_atomic_block, "an e-mail is written in the commit of the fact that it is about"
    _insert(
        Email(
            message=message.name,
            recipient_id=to,
            subject=subject._meta.label_lower,
            subject_id=subject.pk,
            occasion=occasion,
            correlation_id=getattr(subject, "correlation_id", None) or subject.pk,
        )
    )


def write_group_email(message: Message, *, address: str, subject: str, subject_id: UUID, occasion: str) -> None:
    """Write `message` to an address of ours that is no user's."""
    assert connection.in_atomic_block, "an e-mail is written in the commit of the fact that it is about"
    _insert(
        Email(
            message=message.name,
            address=address,
            subject=subject,
            subject_id=subject_id,
            occasion=occasion,
            correlation_id=subject_id,
        )
    )


def _insert(email: Email) -> None:
    Email.objects.bulk_create([email], ignore_conflicts=True)
