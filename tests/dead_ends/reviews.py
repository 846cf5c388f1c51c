"""Every kind of review item, and what ends it besides closing it by hand: an action that staff find, or a worker."""

import ast
import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from django.conf import settings

from connect.accounts import DISCONNECTED, SEVERAL_DISCONNECTED
from connect.accounts import STATUS_UNKNOWN as ACCOUNT_STATUS_UNKNOWN
from connect.admin_actions import (
    DisconnectAccount,
    PayOutForSeller,
    ReissueTransfer,
    RetryReversal,
    RetryTransfer,
)
from connect.closed_balances import BALANCE
from connect.closing import DEBT, OWED
from connect.debts.write_offs import WRITTEN_OFF
from connect.payouts import NOT_READABLE as PAYOUT_NOT_READABLE
from connect.payouts import STATUS_UNKNOWN as PAYOUT_STATUS_UNKNOWN
from connect.refresh_actions import RefreshTransfer
from connect.reversals.reversal_outcomes import EXTERNAL_REVERSAL, REVERSED_TWICE
from connect.stripe.health import HEALTH as STRIPE
from connect.transfers.transfer_outcomes import SENT_TWICE
from connect.transfers.transfer_refresh import NOT_READABLE, UNLISTED
from connect.worker.retry_policy import REVERSAL_FAILED, TRANSFER_FAILED
from marketplace.admin_actions import GrantRefund, RefreshOrder, RefundForBuyer
from marketplace.licenses import DISPUTED_IN_PART, NOT_RESTORED
from marketplace.refund_applications import DECISION_LATE, REFUND_TO_DECIDE
from marketplace.restrictions import HOLD_DUE, SUSPENSION_DUE
from marketplace.seller_actions import EndHold, ReleaseSeller
from payments import review_items as kinds
from payments.admin_actions import (
    AcceptReceivedAmount,
    EnterReceivedAmount,
    RefreshPayment,
    RefreshRefund,
    ReplayWebhook,
    RetryReturnOfFunds,
)
from payments.hyperswitch.health import HEALTH as HYPERSWITCH
from payments.inbox.replay import UNKNOWN_PROFILE, UNSETTLED
from payments.inbox.unknown_events import UNKNOWN_EVENT, UNREADABLE_EVENT
from payments.refund_actions import EndRefund, EnterConvertedAmount, MarkRefundExpected, WriteOffShortfall
from subscriptions.admin_actions import ResumeCharges
from subscriptions.chargebacks import CHARGES_STOPPED
from tests.docs.pages import source_files
from veza.backoffice.account_actions import ReopenAccount
from veza.backoffice.account_proof import WRONG_SIGN
from veza.backoffice.verification import DIFFERS
from veza.core.admin_actions import AdminAction
from veza.core.email.mail_server import HEALTH as SMTP
from veza.core.email.outbox import EMAIL_FAILED
from veza.core.email_admin import ResendEmail


@dataclass(frozen=True)
class Act:
    """An action on the page of the item's subject, or of the order that it belongs to."""

    action: type[AdminAction[Any]]
    on_order: bool = False


@dataclass(frozen=True)
class Task:
    """A sweep whose result closes it once the cause has gone."""

    name: str


@dataclass(frozen=True)
class SameCommit:
    """It is closed in the commit that opens it, as a record of who decided what."""


ENDS: dict[str, Act | Task | SameCommit] = {
    kinds.MISMATCH: Act(AcceptReceivedAmount),
    kinds.PAYMENT_STATUS_UNKNOWN: Act(RefreshPayment),
    kinds.PAYMENT_CONTRADICTED: Act(RefreshPayment),
    kinds.PAYMENT_AMOUNT_MISSING: Act(EnterReceivedAmount),
    kinds.REFUND_CONTRADICTED: Act(RefreshRefund),
    kinds.PAYMENT_VOIDED: Act(MarkRefundExpected),
    kinds.UNAPPLIED_FUNDS: Act(RetryReturnOfFunds),
    kinds.EXTERNAL_REFUND: Act(MarkRefundExpected),
    kinds.REFUND_DIFFERS: Act(MarkRefundExpected),
    kinds.RETURNED: Act(RefundForBuyer, on_order=True),
    kinds.REFUND_EXCESS: Act(WriteOffShortfall),
    kinds.IN_DOUBT: Act(RefreshRefund),
    kinds.REFUND_OVERDUE: Act(EndRefund),
    REFUND_TO_DECIDE: Act(GrantRefund),
    DECISION_LATE: Act(GrantRefund),
    kinds.AMOUNT_IN_DOUBT: Act(EnterConvertedAmount),
    kinds.DISPUTE_TO_ANSWER: Act(RefreshOrder, on_order=True),
    kinds.DISPUTE_EXCESS: Act(WriteOffShortfall),
    kinds.DISPUTE_STATUS_UNKNOWN: Task("payments.compare_lists"),
    UNKNOWN_PROFILE: Act(ReplayWebhook),
    UNSETTLED: Act(ReplayWebhook),
    UNKNOWN_EVENT: Act(ReplayWebhook),
    UNREADABLE_EVENT: Act(ReplayWebhook),
    DISPUTED_IN_PART: Act(RefundForBuyer, on_order=True),
    NOT_RESTORED: Act(RefundForBuyer, on_order=True),
    SUSPENSION_DUE: Act(ReleaseSeller),
    HOLD_DUE: Act(EndHold),
    OWED: Act(ReopenAccount),
    BALANCE: Act(PayOutForSeller),
    DEBT: Task("connect.review_closed_sellers"),
    TRANSFER_FAILED: Act(RetryTransfer),
    REVERSAL_FAILED: Act(RetryReversal),
    EXTERNAL_REVERSAL: Act(ReissueTransfer),
    REVERSED_TWICE: Act(RefreshTransfer),
    SENT_TWICE: Act(RefreshTransfer),
    NOT_READABLE: Act(RefreshTransfer),
    UNLISTED: Act(RefreshTransfer),
    DISCONNECTED: Act(DisconnectAccount),
    SEVERAL_DISCONNECTED: Task("connect.look_at_stripe"),
    ACCOUNT_STATUS_UNKNOWN: Task("connect.look_at_stripe"),
    PAYOUT_NOT_READABLE: Task("connect.move_on_payouts"),
    PAYOUT_STATUS_UNKNOWN: Task("connect.move_on_payouts"),
    WRITTEN_OFF: SameCommit(),
    HYPERSWITCH.review_kind: Task("payments.resend"),
    STRIPE.review_kind: Task("connect.send_transfers"),
    DIFFERS: Task("backoffice.verify_ledger"),
    WRONG_SIGN: Task("backoffice.verify_ledger"),
    SMTP.review_kind: Task("core.send_emails"),
    EMAIL_FAILED: Act(ResendEmail),
    CHARGES_STOPPED: Act(ResumeCharges),
}


def kinds_in(call_names: tuple[str, ...]) -> set[str]:
    """The kinds that the source passes to one of these functions: constants, names of them, and choices of names."""
    return {kind for path in source_files() for kind in _kinds_in_file(path, call_names)}


def _kinds_in_file(path: Path, call_names: tuple[str, ...]) -> Iterator[str]:
    tree = ast.parse(path.read_text())
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in call_names and node.args:
            yield from _values_of(node.args[0], node, path, parents)


def _values_of(kind: ast.expr, node: ast.AST, path: Path, parents: dict[ast.AST, ast.AST]) -> Iterator[str]:
    match kind:
        case ast.Constant(value=str(text)):
            yield text
        case ast.IfExp(body=body, orelse=orelse):
            yield from _values_of(body, node, path, parents)
            yield from _values_of(orelse, node, path, parents)
        case ast.Attribute(attr="review_kind"):
            yield from (HYPERSWITCH.review_kind, STRIPE.review_kind, SMTP.review_kind)
        case ast.Name(id=name):
            if isinstance(value := getattr(_module_of(path), name, None), str):
                yield value
            else:
                yield from _looped_values(name, node, path, parents)


def _looped_values(name: str, node: ast.AST, path: Path, parents: dict[ast.AST, ast.AST]) -> Iterator[str]:
    """The values of a loop over kinds, `for kind in (MISMATCH, UNAPPLIED_FUNDS)`; a parameter has none."""
    while node := parents.get(node):  # type: ignore[assignment]  # The module itself has no parent.
        if isinstance(node, ast.For) and isinstance(node.target, ast.Name) and node.target.id == name:
            if isinstance(node.iter, ast.Name):
                yield from getattr(_module_of(path), node.iter.id, ())
            for element in getattr(node.iter, "elts", ()):
                yield from _values_of(element, node, path, parents)


def _module_of(path: Path) -> ModuleType:
    return importlib.import_module(".".join(path.relative_to(settings.BASE_DIR).with_suffix("").parts))
