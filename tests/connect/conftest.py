"""Stripe as these tests need it: saying what a test tells it to, or as the sandbox over HTTP."""

from collections import deque
from typing import Any

import pytest

from connect.stripe import client as stripe_api
from connect.stripe.objects import RemoteAccount, RemotePayout, RemoteReversal, RemoteTransfer
from veza.core.ids import new_id
from veza.core.outcomes import Accepted, Call, NotSent, Refused, Unknown


class Stripe:
    """Answers each call with the next of the answers given for it, and remembers what it was asked.

    An answer is an outcome, or a function of what was asked, for what happens meanwhile.
    """

    def __init__(self) -> None:
        self.params: list[tuple[str, dict[str, Any]]] = []
        self._answers: dict[str, deque[Any]] = {}

    def will(self, name: str, *answers: Any) -> None:
        self._answers.setdefault(name, deque()).extend(answers)

    def answer(self, name: str, given: dict[str, Any]) -> Any:
        self.params.append((name, given))
        assert self._answers.get(name), f"Stripe was not expected to be asked for {name}"
        answer = self._answers[name].popleft()
        return answer(given) if callable(answer) else answer

    def names(self) -> list[str]:
        return [name for name, _ in self.params]

    def keys(self) -> list[str]:
        return [given["idempotency_key"] for _, given in self.params if "idempotency_key" in given]


@pytest.fixture
def stripe(monkeypatch) -> Stripe:
    double = Stripe()
    kept = ("create_transfer", "list_transfers", "create_reversal", "create_payout", "list_payouts", "create_account")
    for name in (*kept, "create_account_link"):
        monkeypatch.setattr(stripe_api, name, lambda _name=name, **given: double.answer(_name, given))
    for name in ("read_transfer", "read_account", "read_balance", "read_payout"):
        monkeypatch.setattr(
            stripe_api, name, lambda key, _name=name, **given: double.answer(_name, {"id": key, **given})
        )
    return double


def call(status: int = 200) -> Call:
    return Call("stripe", "POST", "/v1/anything", status, 5)


def sent(stripe_transfer_id: str = "", **snapshot: Any) -> Any:
    """Stripe takes the transfer."""

    def answer(given: dict[str, Any]) -> Accepted[RemoteTransfer]:
        return Accepted(transfer_seen(stripe_transfer_id or f"tr_{new_id().hex}", **snapshot), call())

    return answer


def transfer_seen(stripe_transfer_id: str, **snapshot: Any) -> RemoteTransfer:
    usual: dict[str, Any] = {
        "amount_minor": 9_00,
        "reversed_minor": 0,
        "currency": "EUR",
        "destination": "acct_1",
        "transfer_group": "",
        "our_id": "",
        "order_id": "",
        "reversals": (),
    }
    return RemoteTransfer(transfer_id=stripe_transfer_id, **{**usual, **snapshot})


def taken_back(stripe_reversal_id: str = "") -> Any:
    """Stripe reverses exactly what was asked."""

    def answer(given: dict[str, Any]) -> Accepted[RemoteReversal]:
        return Accepted(
            RemoteReversal(
                stripe_reversal_id or f"trr_{new_id().hex}",
                given["stripe_transfer_id"],
                given["amount_minor"],
                str(given["reversal_id"]),
            ),
            call(),
        )

    return answer


def account(*, active: bool) -> Accepted[RemoteAccount]:
    return Accepted(RemoteAccount("acct_1", active, active, True, "DE"), call())


def has(**available: int) -> Accepted[dict[str, int]]:
    """What the account has: `has(EUR=5_00)`."""
    return Accepted(available, call())


def paid_out(external_payout_id: str = "po_1", status: str = "pending") -> Any:
    """Stripe takes the payout."""

    def answer(given: dict[str, Any]) -> Accepted[RemotePayout]:
        amount, currency = given["amount_minor"], given["currency"]
        snapshot = RemotePayout(external_payout_id, amount, currency, status, str(given["payout_id"]), "", "")
        return Accepted(snapshot, call())

    return answer


def looked(snapshot: RemoteTransfer) -> Accepted[RemoteTransfer]:
    return Accepted(snapshot, call())


def refused(code: str = "", message: str = "No.", status: int = 400) -> Refused:
    return Refused(code, message, call(status))


def unknown() -> Unknown:
    return Unknown("no answer: ReadTimeout", call(0))


def not_sent(status: int = 401) -> NotSent:
    return NotSent("Stripe turned us away", call(status))
