"""The sweep that sends e-mails. Claiming a row comes before the network; what was sent is stored after it.

It has a third of a worker's minute, so that a slow mail server delays e-mails and never money. While the server is
down, each tick probes it with one message. A crash between the server's answer and our commit is the one case in which
an e-mail is sent twice: under the same Message-ID, by which mailboxes recognise the copy.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import structlog
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import InterfaceError, OperationalError, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from veza.core import calls
from veza.core.causes import Cause, by_sweep
from veza.core.email.content import Outdated
from veza.core.email.mail_server import HEALTH, MailServer, build, mail_server
from veza.core.email.messages import Message, message_of
from veza.core.email.opt_outs import has_opted_out, unsubscribe_url
from veza.core.email.outbox import EMAIL_FAILED
from veza.core.email.rendering import Rendered, render
from veza.core.email.series import why_not_told
from veza.core.models import Email, EmailStatus, Language
from veza.core.outcomes import Accepted, NotSent, Outcome, Refused, Unknown
from veza.core.reviews import open_review
from veza.core.states import move
from veza.core.sweeps import Queue, Tally, tick

log = structlog.get_logger(__name__)
SWEEP = "core.send_emails"
# The share of a minute in which e-mails are sent, and how many at once.
LASTING = timedelta(seconds=20)
AT_ONCE = 4
BATCH = 50
# Longer than the mail server may take for one message: each of its answers has its own timeout.
LEASE = timedelta(minutes=5)
# How long to wait after each attempt that failed. After the last one staff decide.
RETRY_SCHEDULE: Sequence[timedelta] = tuple(
    timedelta(minutes=minutes) for minutes in (1, 5, 15, 60, 3 * 60, 6 * 60, 12 * 60, 24 * 60)
)
# While the server is down or rejects us, no attempt is counted.
PROBE_AFTER = timedelta(minutes=1)


def send_due(*, lasting: timedelta = LASTING) -> Tally:
    """Send every e-mail that is due, until none is left or the time is over. Stops when the server is down."""
    queue = Queue(Email.objects.waiting(), due="next_attempt_at", lease=LEASE, batch=BATCH)
    with mail_server() as server:

        def handle(row: Email) -> Outcome[None] | None:
            return send_email(row, server, cause=by_sweep(SWEEP))

        tally = tick(SWEEP, queue, handle, until=_is_the_end, at_once=HEALTH.calls_at_once(AT_ONCE), lasting=lasting)
    HEALTH.close_review_if_accepted()
    return tally


def _is_the_end(outcome: Outcome[None] | None) -> bool:
    return isinstance(outcome, NotSent) or bool(HEALTH.stop_reason(outcome))


def send_email(row: Email, server: MailServer, *, cause: Cause) -> Outcome[None] | None:
    """Send one claimed e-mail and record the outcome; None if it was dropped, failed, or is another worker's by now."""
    if not _begin(row):
        return None
    email = Email.objects.select_related("recipient", "copy_of").get(pk=row.pk)
    if email.attempts > len(RETRY_SCHEDULE) + 1:
        _end(email, EmailStatus.FAILED, why="Its attempts are used up: the outcome of none was stored.", cause=cause)
        return None
    try:
        rendered = _prepare(email)
        if isinstance(rendered, Outdated):
            _end(email, EmailStatus.DROPPED, why=rendered.why, cause=cause)
            return None
        link = unsubscribe_url(email, message) if (message := message_of(email.message)) else ""
        outcome = server.send(build(email, rendered, unsubscribe_url=link), name=email.message)
    except (OperationalError, InterfaceError):
        raise
    except ValidationError:
        _end(email, EmailStatus.FAILED, why="The recipient's address is not valid.", cause=cause)
        return None
    except Exception as error:
        _retry(email, f"{type(error).__name__}: {error}", cause=cause)
        raise
    _record(email, rendered, outcome, cause=cause)
    return outcome


def _begin(row: Email) -> bool:
    """Count the attempt before the call, unless the claim on `row` is no longer ours."""
    claim = Email.objects.filter(pk=row.pk, status=EmailStatus.WAITING, next_attempt_at=_leased_until(row))
    return bool(claim.update(attempts=F("attempts") + 1, next_attempt_at=Now() + LEASE))


def _leased_until(row: Email) -> datetime:
    claimed_at: datetime = row.claimed_at  # type: ignore[attr-defined]  # Queue.claim annotates it.
    return claimed_at + LEASE


def _prepare(email: Email) -> Rendered | Outdated:
    """Compose the e-mail in its recipient's language and set where it goes. Raises ValidationError for no address."""
    person = email.recipient
    email.address = person.email if person else email.address
    validate_email(email.address)
    if email.copy_of is not None and email.copy_of.text:
        return _copied(email.copy_of)
    message = message_of(email.message)
    if message is None:
        return Outdated("This release has no such message.")
    if message.optional and has_opted_out(email):
        return Outdated("The recipient has unsubscribed from this message.")
    if message.needs_open_account and person is not None and person.closed_at is not None:
        return Outdated("The recipient's account is closed.")
    if why := why_not_told(email, message):
        return Outdated(why)
    language, zone = (person.language, person.time_zone) if person else (email.language or Language.ENGLISH, "UTC")
    return compose(message, email, language=language, zone=zone)


def compose(message: Message, email: Email, *, language: str, zone: str) -> Rendered | Outdated:
    """What `message` says about the e-mail's subject now, in `language` and the time zone `zone`."""
    with translation.override(language), timezone.override(ZoneInfo(zone)):
        content = message.compose(email.subject_id, email.occasion)
        if isinstance(content, Outdated):
            return content
        return render(content, unsubscribe_url=unsubscribe_url(email, message))


def _copied(first: Email) -> Rendered:
    """What was sent before, under a subject that says so."""
    with translation.override(first.language):
        subject_line = _("Copy: %(subject)s") % {"subject": first.subject_line}
    return Rendered(subject_line, first.text, first.html, first.language)


@transaction.atomic(durable=True)
def _record(email: Email, rendered: Rendered, outcome: Outcome[None], *, cause: Cause) -> None:
    calls.record(outcome, subject=email, our_id=str(email.pk))
    match outcome:
        case Accepted():
            move(
                email,
                EmailStatus.SENT,
                cause=cause,
                sent_at=timezone.now(),
                next_attempt_at=None,
                last_error="",
                address=email.address,
                language=rendered.language,
                subject_line=rendered.subject_line,
                text=rendered.text,
                html=rendered.html,
            )
        case Refused(code=code, message=text):
            _fail(email, f"The mail server refused it: {code} {text}", cause=cause)
        case NotSent(why=why):
            _wait(email, why)
            HEALTH.open_review_if_rejected(outcome, email)
        case Unknown(why=why):
            _wait(email, why) if HEALTH.is_down() else _count_failure(email, why, cause=cause)


@transaction.atomic(durable=True)
def _end(email: Email, status: EmailStatus, *, why: str, cause: Cause) -> None:
    if status == EmailStatus.FAILED:
        _fail(email, why, cause=cause)
    else:
        move(email, status, cause=cause, next_attempt_at=None, last_error=why[:300])


@transaction.atomic(durable=True)
def _retry(email: Email, why: str, *, cause: Cause) -> None:
    _count_failure(email, why, cause=cause)


def _wait(email: Email, why: str) -> None:
    """The server is at fault: the attempt does not count."""
    Email.objects.filter(pk=email.pk, status=EmailStatus.WAITING).update(
        attempts=F("attempts") - 1, next_attempt_at=Now() + PROBE_AFTER, last_error=why[:300]
    )


def _count_failure(email: Email, why: str, *, cause: Cause) -> None:
    if email.attempts > len(RETRY_SCHEDULE):
        _fail(email, f"{why} (after {email.attempts} attempts)", cause=cause)
        return
    Email.objects.filter(pk=email.pk, status=EmailStatus.WAITING).update(
        next_attempt_at=Now() + RETRY_SCHEDULE[email.attempts - 1], last_error=why[:300]
    )


def _fail(email: Email, why: str, *, cause: Cause) -> None:
    move(email, EmailStatus.FAILED, cause=cause, next_attempt_at=None, last_error=why[:300], address=email.address)
    log.error("email_failed", email=str(email.pk), message=email.message, why=why)
    open_review(
        EMAIL_FAILED,
        email,
        why=f"The e-mail “{email.message}” to {email.address or 'a user'} was not sent: {why}",
        what_to_do="Correct the cause, such as the user's address, then resend the e-mail from its page.",
    )
