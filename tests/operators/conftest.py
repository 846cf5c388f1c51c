"""A Veza that answers over HTTP, with the sandbox's webhooks, and with the workers' tasks run between two polls."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.core.cache import cache

from acceptance.options import RunOptions
from acceptance.session_log import SessionLog
from acceptance.walk import Walk
from connect.models import ConnectedAccount
from connect.tasks import process_reversals, send_transfers
from marketplace.models import LicenseOffer
from payments.tasks import resend
from tests.buying import SECRET
from tests.factories import OfferFactory, PersonFactory
from veza.backoffice.evidence import MAY_READ
from veza.core.api import sessions
from veza.core.models import SignInMethod, User
from veza.core.platform import maintenance
from veza.status import state

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
PASSWORD = "canary-password-of-the-operator"
# The statuses of a webhook that the sandbox is sending or will send again.
UNDER_WAY = {"waiting", "retrying"}


class Stack:
    """A running Veza, a shop with one product, and the users of the acceptance run."""

    def __init__(self, url: str, sandbox: Any, report_dir: Path) -> None:
        self.url, self.sandbox, self.report_dir = url, sandbox, report_dir
        self.offer: LicenseOffer = OfferFactory(price_minor=5_00)
        self.account_id = sandbox.create_account()
        ConnectedAccount.objects.create(
            seller=self.offer.product.seller, stripe_account_id=self.account_id, transfers_active=True
        )
        self.operator = create_user("operator@example.com", PASSWORD)
        self.staff = create_user("staff@example.com", PASSWORD, is_staff=True)
        self.staff_token = sessions.begin(self.staff, SignInMethod.OPERATOR).access_token
        for name in MAY_READ:
            app, _, codename = name.partition(".")
            self.staff.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))

    def run_options(self, **changes: Any) -> RunOptions:
        defaults: dict[str, Any] = {
            "base_url": self.url,
            "email": self.operator.email,
            "password": PASSWORD,
            "pay": "sandbox",
            "refund": "yes",
            "staff": True,
            "staff_token": self.staff_token,
            "report_dir": self.report_dir,
            "poll_seconds": 0.05,
            "patience_seconds": 5.0,
        }
        return RunOptions(**(defaults | changes))

    def walk(
        self, *, log: SessionLog, operator: Any, pause: Callable[[float], object] | None = None, **changes: Any
    ) -> Walk:
        return Walk(
            self.run_options(**changes), log=log, operator=operator, pause=pause or (lambda _seconds: run_workers())
        )

    @property
    def report(self) -> str:
        return (self.report_dir / "PAYMENT_E2E_LIVE_REPORT.md").read_text()


class NoOperator:
    """No operator at the terminal; stores the output."""

    is_present = False

    def __init__(self) -> None:
        self.output: list[str] = []

    def tell(self, text: str) -> None:
        self.output.append(text)

    def ask(self, question: str) -> str:
        return ""


class ScriptedOperator(NoOperator):
    """An operator who gives the next of the answers to each question; an answer may be a function."""

    is_present = True

    def __init__(self, *answers: Any) -> None:
        super().__init__()
        self.answers, self.questions = list(answers), list[str]()

    def ask(self, question: str) -> str:
        self.questions.append(question)
        answer = self.answers.pop(0)
        return str(answer() if callable(answer) else answer)


def create_user(email: str, password: str, **flags: Any) -> User:
    user = PersonFactory(email=email, **flags)
    user.set_password(password)
    user.save(update_fields=["password"])
    return user


def run_workers() -> None:
    for sweep in (resend, send_transfers, process_reversals):
        sweep()


@pytest.fixture
def stack(live_server: Any, sandbox: Any, settings: Any, tmp_path: Path) -> Iterator[Stack]:
    cache.clear()
    maintenance.forget()
    state.forget()
    settings.PUBLIC_BASE_URL = live_server.url
    sandbox.settings(
        webhooks_paused=False,
        refund_delay_seconds=0.05,
        hyperswitch_webhook_url=f"{live_server.url}/api/v1/webhooks/hyperswitch",
        hyperswitch_webhook_secret=SECRET,
        retry_schedule=[0.2],
    )
    yield Stack(live_server.url, sandbox, tmp_path)
    # A delivery still in progress would meet the end of this test's database.
    sandbox.settings(webhooks_paused=True)
    sandbox.wait_for(lambda: UNDER_WAY.isdisjoint(event["status"] for event in sandbox.webhooks()), seconds=30)


@pytest.fixture
def log(tmp_path: Path) -> SessionLog:
    return SessionLog.begin(tmp_path, at=NOON)
