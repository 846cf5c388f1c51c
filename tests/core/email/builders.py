"""A message about a user, and e-mails of it."""

from django.db import transaction
from django.utils.translation import get_language

from tests.factories import PersonFactory
from veza.core.email.content import Content, Outdated, Paragraph
from veza.core.email.messages import Audience, Message
from veza.core.email.outbox import write_email
from veza.core.models import Email, User


def compose(user_id, occasion, /) -> Content | Outdated:
    user = User.objects.get(pk=user_id)
    if not user.is_active:
        return Outdated("The user is not active any more.")
    if user.name == "Broken":
        raise ZeroDivisionError("composed badly")
    return Content(f"A note to {user.name}", "A note", [Paragraph(f"{occasion} in {get_language()}")])


NOTE = Message("note", Audience.BUYER, "For tests.", compose, lambda: Content("A note", "A note", []))


def write_note(occasion="first", **fields) -> Email:
    user = PersonFactory(**fields)
    with transaction.atomic():
        write_email(NOTE, user, to=user.pk, occasion=occasion)
    return Email.objects.get(recipient=user)
