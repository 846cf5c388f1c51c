"""Stripe as these tests need it: a double that answers as a test tells it to, and the answers it may give."""

from collections import deque
from typing import Any

from connect.stripe.objects import RemoteAccount, RemotePayout, RemoteReversal, RemoteTransfer
from veza.core.ids import new_id
from veza.core.outcomes import Accepted, Call, NotSent, Refused, Unknown

# The client's functions that take parameters only, and those that take an id first.
BY_PARAMS = (
    "create_transfer",
    "list_transfers",
    "create_reversal",
    "create_payout",
    "list_payouts",
    "create_account",
    "create_account_link",
)
BY_ID = ("read_transfer", "read_account", "read_balance", "read_payout")


class Stripe:
    """Answers each call with the next of the answers queued for it, and records the parameters.

    An answer is an outcome, or a function of the parameters, for what happens meanwhile.
    """

    def __init__(self) -> None:
        self.params: list[tuple[str, dict[str, Any]]] = []
        self._answers: dict[str, deque[Any]] = {}

    def will(self, name: str, *answers: Any) -> None:
        self._answers.setdefault(name, deque()).extend(answers)

    def answer(self, name: str, params: dict[str, Any]) -> Any:
        self.params.append((name, params))
        assert self._answers.get(name), f"Stripe was not expected to be called for {name}"
        answer = self._answers[name].popleft()
        return answer(params) if callable(answer) else answer

    def names(self) -> list[str]:
        return [name for name, _ in self.params]

    def keys(self) -> list[str]:
        return [params["idempotency_key"] for _, params in self.params if "idempotency_key" in params]


def call(status: int = 200) -> Call:
    return Call("stripe", "POST", "/v1/anything", status, 5)


def accepts_transfer(stripe_transfer_id: str = "", **snapshot: Any) -> Any:
    """Stripe makes exactly the transfer that was requested."""

    def answer(params: dict[str, Any]) -> Accepted[RemoteTransfer]:
        requested = {name: params[name] for name in ("amount_minor", "currency", "destination")}
        return Accepted(
            remote_transfer(stripe_transfer_id or f"tr_{new_id().hex}", **{**requested, **snapshot}), call()
        )

    return answer


def remote_transfer(stripe_transfer_id: str, **snapshot: Any) -> RemoteTransfer:
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


def accepts_reversal(stripe_reversal_id: str = "") -> Any:
    """Stripe reverses exactly what was requested."""

    def answer(params: dict[str, Any]) -> Accepted[RemoteReversal]:
        return Accepted(
            RemoteReversal(
                stripe_reversal_id or f"trr_{new_id().hex}",
                params["stripe_transfer_id"],
                params["amount_minor"],
                str(params["reversal_id"]),
            ),
            call(),
        )

    return answer


def accepts_payout(external_payout_id: str = "po_1", status: str = "pending") -> Any:
    """Stripe makes the payout."""

    def answer(params: dict[str, Any]) -> Accepted[RemotePayout]:
        amount, currency = params["amount_minor"], params["currency"]
        snapshot = RemotePayout(external_payout_id, amount, currency, status, str(params["payout_id"]), "", "")
        return Accepted(snapshot, call())

    return answer


def shows(snapshot: RemoteTransfer) -> Accepted[RemoteTransfer]:
    return Accepted(snapshot, call())


def shows_account(*, active: bool) -> Accepted[RemoteAccount]:
    return Accepted(RemoteAccount("acct_1", active, active, True, "DE"), call())


def shows_balance(**available: int) -> Accepted[dict[str, int]]:
    """The account's available balance: `shows_balance(EUR=5_00)`."""
    return Accepted(available, call())


def refuses(code: str = "", message: str = "No.", status: int = 400) -> Refused:
    return Refused(code, message, call(status))


def times_out() -> Unknown:
    return Unknown("no answer: ReadTimeout", call(0))


def rejects_key(status: int = 401) -> NotSent:
    return NotSent("Stripe rejected the key", call(status))
