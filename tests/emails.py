"""What a user was written, as it would be sent now."""

from django.db.models.functions import Now

from veza.core.email.content import Outdated
from veza.core.email.messages import message_of
from veza.core.email.rendering import Rendered
from veza.core.email.sending import compose, send_due
from veza.core.models import Email, User


def written_to(user: User, message: str = "") -> list[Email]:
    """The e-mails to `user`, oldest first; of one message if it is named."""
    emails = Email.objects.filter(recipient=user).order_by("created_at", "pk")
    return list(emails.filter(message=message) if message else emails)


def composed(email: Email, language: str = "en") -> Rendered | Outdated:
    message = message_of(email.message)
    assert message is not None
    return compose(message, email, language=language, zone="UTC")


def texts_to(user: User, message: str = "") -> list[str]:
    """The text of each e-mail to `user` that is still true."""
    rendered = [composed(email) for email in written_to(user, message)]
    return [each.text for each in rendered if isinstance(each, Rendered)]


def mark_sent(user: User) -> None:
    """As if a worker had sent all that waits for `user`."""
    Email.objects.waiting().filter(recipient=user).update(status="sent", attempts=1, next_attempt_at=None)


def send_what_waits() -> None:
    """Send all that waits, as if its time had come."""
    Email.objects.waiting().update(next_attempt_at=Now())
    send_due()
