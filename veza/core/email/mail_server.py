"""The only SMTP. What the mail server answers becomes one of the four outcomes; no password reaches a log or a row.

One connection carries several messages. A call that ends without an answer after the message was handed over may have
been delivered: it is sent again under the same Message-ID, by which mailboxes recognise the second copy.
"""

import smtplib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from email.utils import formataddr
from queue import Empty, SimpleQueue

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.core.mail.backends.base import BaseEmailBackend

from veza.core.email.rendering import Rendered, plain
from veza.core.models import Email
from veza.core.outcomes import Accepted, Call, NotSent, Outcome, Refused, Unknown
from veza.core.provider_health import ProviderHealth

PROVIDER = "smtp"
HEALTH = ProviderHealth(PROVIDER, "SMTP_USERNAME, SMTP_PASSWORD and SMTP_FROM")
# Servers close a connection after some number of messages.
MESSAGES_PER_CONNECTION = 50
_CLOSING, _PERMANENT = 421, 500


def message_id(email: Email) -> str:
    """The same for every attempt at one e-mail: made from the row."""
    return f"<{email.pk}@{settings.SMTP_FROM.rpartition('@')[2] or 'localhost'}>"


def build(email: Email, rendered: Rendered, *, unsubscribe_url: str = "") -> EmailMultiAlternatives:
    """The message for `email.address`, with the headers that say a program has written it."""
    headers = {
        "Message-ID": message_id(email),
        "Auto-Submitted": "auto-generated",
        "Content-Language": rendered.language,
    }
    if unsubscribe_url:
        headers |= {"List-Unsubscribe": f"<{unsubscribe_url}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}
    sender = formataddr((plain(settings.SMTP_FROM_NAME), settings.SMTP_FROM or "veza@localhost"))
    message = EmailMultiAlternatives(
        rendered.subject_line,
        rendered.text,
        sender,
        [email.address],
        headers=headers,
        reply_to=[settings.SUPPORT_ADDRESS] if settings.SUPPORT_ADDRESS else None,
    )
    message.attach_alternative(rendered.html, "text/html")
    return message


class _ServerCloses(Exception):
    """The mail server ends this connection, and has not taken the message (421). smtplib has closed it."""


class MailServer:
    """Connections to the mail server, each used by one thread at a time."""

    def __init__(self) -> None:
        self._idle: SimpleQueue[tuple[BaseEmailBackend, int]] = SimpleQueue()

    def send(self, message: EmailMultiAlternatives, *, name: str) -> Outcome[None]:
        """Hand one message over. `name` is that of the message, for the record of calls."""
        start = time.monotonic()

        def call(status: int) -> Call:
            return Call(PROVIDER, "SEND", name, status, round((time.monotonic() - start) * 1000))

        try:
            connection, uses = self._connect()
            try:
                outcome = _hand_over(connection, message, call)
            except _ServerCloses:
                if not uses:
                    raise
                # It took messages before: servers end a connection after a number of them that they do not tell.
                connection, uses = _open(), 0
                outcome = _hand_over(connection, message, call)
        except smtplib.SMTPAuthenticationError as error:
            return NotSent("The mail server rejected our user name or password.", call(error.smtp_code))
        except _ServerCloses as error:
            return NotSent(f"The mail server is closing: {error}", call(0))
        except (OSError, smtplib.SMTPException) as error:
            return NotSent(f"The mail server could not be reached: {_describe(error)}", call(0))
        if isinstance(outcome, Accepted | Refused) and uses + 1 < MESSAGES_PER_CONNECTION:
            self._idle.put((connection, uses + 1))
        else:
            _close(connection)
        return outcome

    def close(self) -> None:
        """Close every connection."""
        while True:
            try:
                connection, _uses = self._idle.get_nowait()
            except Empty:
                return
            _close(connection)

    def _connect(self) -> tuple[BaseEmailBackend, int]:
        try:
            return self._idle.get_nowait()
        except Empty:
            return _open(), 0


@contextmanager
def mail_server() -> Iterator[MailServer]:
    """The mail server, with its connections closed in the end."""
    server = MailServer()
    try:
        yield server
    finally:
        server.close()


def _open() -> BaseEmailBackend:
    """A new connection. Raises SMTPException or OSError."""
    connection: BaseEmailBackend = get_connection(
        host=settings.SMTP_HOST,
        port=settings.SMTP_PORT,
        username=settings.SMTP_USERNAME,
        password=settings.SMTP_PASSWORD,
        use_tls=settings.SMTP_TLS and settings.SMTP_PORT != smtplib.SMTP_SSL_PORT,
        use_ssl=settings.SMTP_TLS and settings.SMTP_PORT == smtplib.SMTP_SSL_PORT,
        timeout=settings.SMTP_TIMEOUT_SECONDS,
    )
    connection.open()
    return connection


def _hand_over(
    connection: BaseEmailBackend, message: EmailMultiAlternatives, call: Callable[[int], Call]
) -> Outcome[None]:
    try:
        connection.send_messages([message])
    except smtplib.SMTPRecipientsRefused as error:
        return _outcome_of(*next(iter(error.recipients.values())), call)
    except smtplib.SMTPResponseException as error:
        if isinstance(error, smtplib.SMTPSenderRefused) and error.smtp_code >= _PERMANENT:
            return NotSent("The mail server does not let us send from SMTP_FROM.", call(error.smtp_code))
        return _outcome_of(error.smtp_code, error.smtp_error, call)
    except (UnicodeError, ValueError, smtplib.SMTPNotSupportedError) as error:
        return Refused("not_sendable", _describe(error), call(0))
    except (OSError, smtplib.SMTPException) as error:
        return Unknown(f"The mail server did not answer: {_describe(error)}", call(0))
    return Accepted(None, call(250))


def _outcome_of(code: int, text: bytes | str, call: Callable[[int], Call]) -> Outcome[None]:
    answer = text.decode(errors="replace") if isinstance(text, bytes) else text
    if code == _CLOSING:
        raise _ServerCloses(answer)
    if code >= _PERMANENT:
        return Refused(str(code), answer, call(code))
    return Unknown(f"{code} {answer}", call(code))


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:200]


def _close(connection: BaseEmailBackend) -> None:
    with suppress(OSError, smtplib.SMTPException):
        connection.close()
