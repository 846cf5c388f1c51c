import pytest

from tests.core.email.builders import NOTE
from tests.sandbox.process import Sandbox
from veza.core.email import messages


@pytest.fixture(autouse=True)
def one_more_message(monkeypatch) -> None:
    """A message that needs no row of any app: it is about a user."""
    monkeypatch.setitem(messages._messages, NOTE.name, NOTE)


@pytest.fixture
def mail(sandbox: Sandbox, settings) -> Sandbox:
    """A real mail server, with nothing in its mailbox."""
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.SMTP_HOST, settings.SMTP_PORT, settings.SMTP_TLS = "127.0.0.1", sandbox.smtp_port, False
    settings.SMTP_FROM = "receipts@shop.example"
    return sandbox
