"""Unsubscribing: one click, only from what is optional, and never by a link that a program opened."""

from dataclasses import replace
from urllib.parse import urlsplit

import pytest
from django.test import Client

from tests.core.email.builders import NOTE, write_note
from veza.core.email import messages
from veza.core.email.opt_outs import unsubscribe_url
from veza.core.email.sending import send_due
from veza.core.models import Email, EmailOptOut

pytestmark = pytest.mark.django_db
OPTIONAL = replace(NOTE, optional=True)


@pytest.fixture(autouse=True)
def optional_note(monkeypatch) -> None:
    monkeypatch.setitem(messages._messages, NOTE.name, OPTIONAL)


def link_in(headers: dict[str, str]) -> str:
    return urlsplit(headers["List-Unsubscribe"].strip(" \r\n<>")).path


def test_one_click_in_a_mail_program_unsubscribes(mail):
    email = write_note()
    send_due()
    headers = mail.emails()[0]["headers"]
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"

    assert Client(enforce_csrf_checks=True).post(link_in(headers), {"List-Unsubscribe": "One-Click"}).status_code == 200

    write_note_again(email)
    send_due()
    assert len(mail.emails()) == 1
    assert Email.objects.get(status="dropped").last_error == "The recipient has unsubscribed from this message."


def write_note_again(email: Email) -> None:
    Email.objects.create(
        message="note",
        recipient=email.recipient,
        subject="core.user",
        subject_id=email.subject_id,
        correlation_id=email.subject_id,
        occasion="second",
    )


def test_opening_the_link_changes_nothing(mail):
    write_note()
    send_due()
    page = Client().get(link_in(mail.emails()[0]["headers"]))

    assert (page.status_code, b"<button>" in page.content, EmailOptOut.objects.exists()) == (200, True, False)


def test_a_changed_link_unsubscribes_from_nothing():
    path = urlsplit(unsubscribe_url(write_note(), OPTIONAL)).path

    assert Client().post(path + "x").status_code == 404
    assert not EmailOptOut.objects.exists()


def test_what_is_required_has_no_link_and_an_invented_one_does_nothing(monkeypatch):
    email = write_note()
    path = urlsplit(unsubscribe_url(email, OPTIONAL)).path
    monkeypatch.setitem(messages._messages, NOTE.name, NOTE)

    assert unsubscribe_url(email, NOTE) == ""
    assert Client().post(path).status_code == 404
