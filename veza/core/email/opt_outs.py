"""Unsubscribing from the messages that a user need not get. The link in each of them is signed: it needs no log-in."""

from uuid import UUID

from django.conf import settings
from django.core.signing import BadSignature, Signer
from django.urls import reverse

from veza.core.email.messages import Message, message_of
from veza.core.models import Email, EmailOptOut

_signer = Signer(salt="core.email.unsubscribe")


def unsubscribe_url(email: Email, message: Message) -> str:
    """Where the recipient of `email` unsubscribes from its message; empty for one that they have to get."""
    if not message.optional or email.recipient_id is None:
        return ""
    token = _signer.sign(f"{email.recipient_id}:{message.name}")
    return f"{settings.PUBLIC_BASE_URL}{reverse('unsubscribe', args=[token])}"


def read_token(token: str) -> tuple[UUID, Message] | None:
    """The user and the message of a link; None for one that we did not make."""
    try:
        user_id, _, name = _signer.unsign(token).partition(":")
        message = message_of(name)
        return (UUID(user_id), message) if message is not None and message.optional else None
    except (BadSignature, ValueError):
        return None


def unsubscribe(user_id: UUID, message: Message) -> None:
    """Send `message` to this user no more. Asking again changes nothing."""
    EmailOptOut.objects.bulk_create([EmailOptOut(user_id=user_id, message=message.name)], ignore_conflicts=True)


def has_opted_out(email: Email) -> bool:
    """Whether the recipient has unsubscribed from the message of `email`."""
    return EmailOptOut.objects.filter(user=email.recipient_id, message=email.message).exists()
