"""The sweep against a real SMTP server: sent once, dropped when outdated, retried, failed into a review item."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from email.utils import parseaddr

import pytest
from django.db.models.functions import Now
from django.utils import timezone

from tests.core.email.builders import write_note
from veza.core.causes import by_sweep
from veza.core.email.mail_server import HEALTH, MailServer, mail_server
from veza.core.email.outbox import EMAIL_FAILED
from veza.core.email.sending import LEASE, RETRY_SCHEDULE, send_due, send_email
from veza.core.models import Email, ProviderCall, ReviewItem, StatusChange, User

pytestmark = pytest.mark.django_db


def make_due(**fields) -> None:
    Email.objects.waiting().update(next_attempt_at=Now(), **fields)


def send_now(email: Email, server: MailServer) -> None:
    claimed = Email.objects.annotate(claimed_at=Now()).get(pk=email.pk)
    Email.objects.filter(pk=email.pk).update(next_attempt_at=claimed.claimed_at + LEASE)
    send_email(claimed, server, cause=by_sweep("test"))


def state_of(email: Email) -> tuple[str, int]:
    email.refresh_from_db()
    return email.status, email.attempts


def test_an_email_is_sent_once_and_what_was_sent_is_stored(mail):
    email = write_note(name="Ada", language="fr")
    for _ in range(2):
        send_due()

    (sent,) = mail.emails()
    email.refresh_from_db()
    assert (email.status, email.address, email.language) == ("sent", sent["recipients"][0], "fr")
    assert (sent["headers"]["Subject"], "first in fr" in sent["text"]) == ("A note to Ada", True)
    assert (email.subject_line, email.text.split(), email.html.split()) == (
        sent["headers"]["Subject"],
        sent["text"].split(),
        sent["html"].split(),
    )


def test_the_headers_say_who_wrote_it_and_that_it_was_a_program(mail):
    email = write_note()
    send_due()

    headers = mail.emails()[0]["headers"]
    assert headers["From"] == "Veza <receipts@shop.example>"
    assert headers["Message-ID"] == f"<{email.pk}@shop.example>"
    assert (headers["Auto-Submitted"], "Date" in headers, "List-Unsubscribe" in headers) == (
        "auto-generated",
        True,
        False,
    )


@pytest.mark.parametrize("address", ["", "support@shop.example"])
def test_answers_go_to_support_if_it_has_an_address(mail, settings, address):
    settings.SUPPORT_ADDRESS = address
    write_note()

    send_due()

    assert mail.emails()[0]["headers"].get("Reply-To", "") == address


def test_what_is_not_true_any_more_is_dropped_and_says_why(mail):
    email = write_note()
    User.objects.update(is_active=False)
    send_due()

    assert (state_of(email), mail.emails()) == (("dropped", 1), [])
    assert email.last_error == "The user is not active any more."
    assert StatusChange.objects.get(subject_id=email.pk).actor == "core.send_emails"


def test_a_recipient_refused_for_good_needs_review(mail):
    mail.control("mail_faults", fault="refuse")
    email = write_note()
    send_due()

    assert state_of(email)[0] == "failed"
    assert "550" in ReviewItem.objects.get(kind=EMAIL_FAILED, subject_id=email.pk).why


def test_a_recipient_refused_for_now_is_tried_again_later(mail):
    mail.control("mail_faults", fault="defer")
    email = write_note()
    send_due()

    assert state_of(email) == ("waiting", 1)
    assert email.next_attempt_at > timezone.now()
    make_due()
    send_due()
    assert (state_of(email), len(mail.emails())) == (("sent", 2), 1)


def test_an_email_whose_attempts_are_used_up_needs_review(mail):
    mail.control("mail_faults", fault="defer")
    email = write_note()
    make_due(attempts=len(RETRY_SCHEDULE))
    send_due()

    assert state_of(email)[0] == "failed"
    assert ReviewItem.objects.filter(kind=EMAIL_FAILED, subject_id=email.pk).exists()


def test_an_email_whose_outcome_can_never_be_stored_is_not_sent_for_ever(mail):
    email = write_note()
    make_due(attempts=len(RETRY_SCHEDULE) + 1)
    send_due()

    assert (state_of(email)[0], mail.emails()) == ("failed", [])
    assert ReviewItem.objects.filter(kind=EMAIL_FAILED, subject_id=email.pk).exists()


def test_an_answer_that_was_lost_is_repeated_under_the_same_message_id(mail):
    mail.control("mail_faults", fault="drop_after")
    email = write_note()
    send_due()
    make_due()
    send_due()

    first, second = mail.emails()
    assert first["headers"]["Message-ID"] == second["headers"]["Message-ID"]
    assert state_of(email) == ("sent", 2)


def test_a_server_that_is_down_gets_one_probe_and_no_attempt_counts(mail, settings):
    settings.SMTP_PORT = 1
    emails = [write_note() for _ in range(6)]
    for _ in range(6):
        send_due()

    assert HEALTH.is_down()
    assert ProviderCall.objects.filter(provider="smtp").count() == 6
    assert {state_of(email) for email in emails} == {("waiting", 0)}


def test_a_rejected_log_in_is_one_review_item_that_closes_by_itself(mail, settings):
    settings.SMTP_USERNAME, settings.SMTP_PASSWORD = "veza", "a secret that nobody may read"
    mail.control("mail_faults", fault="reject_login", times=2)
    email = write_note()
    for _ in range(2):
        send_due()
        make_due()

    item = ReviewItem.objects.get(kind="smtp_auth_rejected")
    assert (item.closed_at, state_of(email)) == (None, ("waiting", 0))
    assert "secret" not in f"{item.why}{email.last_error}{ProviderCall.objects.first().detail}"
    send_due()
    item.refresh_from_db()
    assert (item.closed_at is not None, state_of(email)[0]) == (True, "sent")


def test_several_messages_share_a_connection(mail):
    for _ in range(5):
        write_note()
    send_due()

    assert (len(mail.emails()), mail._call("GET", "/_truth/emails")["connections"]) == (5, 1)


def test_a_connection_the_server_ends_after_some_messages_is_replaced(mail):
    first, second = write_note(), write_note()
    with mail_server() as server:
        send_now(first, server)
        mail.control("mail_faults", fault="close")
        send_now(second, server)

    assert (state_of(first), state_of(second)) == (("sent", 1), ("sent", 1))
    assert mail._call("GET", "/_truth/emails")["connections"] == 2


def test_a_server_that_ends_even_a_new_connection_is_asked_later(mail):
    mail.control("mail_faults", fault="close", times=5)
    email = write_note()
    send_due()

    assert (state_of(email), mail.emails()) == (("waiting", 0), [])
    assert "closing" in email.last_error


def test_a_server_that_never_answers_costs_its_timeout_and_one_attempt(mail, settings):
    settings.SMTP_TIMEOUT_SECONDS = 0.3
    mail.control("mail_faults", fault="slow", seconds=1)
    hanging, fine = write_note(), write_note()
    send_due()

    assert sorted([state_of(hanging), state_of(fine)]) == [("sent", 1), ("waiting", 1)]


def test_an_email_is_in_the_language_of_its_reader_when_it_is_sent(mail):
    email = write_note(language="en")
    User.objects.update(language="fr")
    send_due()

    email.refresh_from_db()
    assert (email.language, "in fr" in email.text) == ("fr", True)


NAMES = ['Ada "the Countess", Ltd', "Ñandú, René", "Ada \N{PERFORMING ARTS} 😀", "Ada\r\nBcc: all@example.com"]


@pytest.mark.parametrize("name", NAMES)
def test_quotes_commas_and_emoji_in_names_reach_the_mailbox(mail, settings, name):
    settings.SMTP_FROM_NAME = name
    write_note(name=name)
    send_due()

    (sent,) = mail.emails()
    shown = " ".join(name.split())
    assert sent["headers"]["Subject"].replace("\u200c", "") == f"A note to {shown}"
    assert parseaddr(sent["headers"]["From"])[1] == "receipts@shop.example"
    assert (len(sent["recipients"]), "Bcc" in sent["headers"]) == (1, False)


def test_a_message_that_cannot_be_composed_stops_no_other(mail):
    broken, fine = write_note(name="Broken"), write_note(name="Fine")
    tally = send_due()

    assert (tally.done, tally.failed, state_of(broken), state_of(fine)) == (1, 1, ("waiting", 1), ("sent", 1))
    make_due(attempts=len(RETRY_SCHEDULE))
    send_due()
    assert state_of(broken)[0] == "failed"


def test_an_address_that_is_none_needs_review_and_reaches_no_server(mail):
    email = write_note()
    User.objects.update(email="ada@example.com\r\nbcc: all@example.com")
    send_due()

    assert (state_of(email)[0], mail.emails()) == ("failed", [])


def test_a_worker_whose_lease_is_over_sends_nothing(mail):
    email = write_note()
    stale = Email.objects.annotate(claimed_at=Now()).get(pk=email.pk)
    Email.objects.update(next_attempt_at=stale.claimed_at + LEASE)
    Email.objects.update(next_attempt_at=stale.claimed_at + LEASE + timedelta(seconds=1))  # Another worker's claim.

    with mail_server() as server:
        assert send_email(stale, server, cause=by_sweep("test")) is None
    assert mail.emails() == []


@pytest.mark.django_db(transaction=True)
def test_two_workers_send_each_email_once(mail):
    for _ in range(20):
        write_note()
    with ThreadPoolExecutor(2) as workers:
        ticks = [workers.submit(send_due) for _ in range(2)]
    assert [tick.exception() for tick in ticks] == [None, None]

    recipients = [email["recipients"][0] for email in mail.emails()]
    assert (len(recipients), len(set(recipients))) == (20, 20)
