"""Steps that many tests share: a worker's turn on one row, an external event, and what came of them."""

from django.utils import timezone

from connect.funds import AccountBalance
from connect.models import SellerTransfer
from connect.reversals.reversal_requests import reverse_transfer
from connect.settlement.reconcile_seller import settle_order
from connect.stripe.objects import RemoteReversal, RemoteTransfer
from connect.transfers.transfer_requests import send_transfer
from payments.models import Refund
from tests.connect.factories import BY_TEST, planned, refund
from tests.connect.stripe_double import accepts_transfer, refuses, remote_transfer
from veza.core.models import User
from veza.core.states import move

# A balance at Stripe from which any payout of a test can be paid.
PLENTY = AccountBalance({"EUR": 1_000_00}, timezone.now())


def fresh(transfer: SellerTransfer) -> SellerTransfer:
    return SellerTransfer.objects.get(pk=transfer.pk)


def send(transfer: SellerTransfer) -> SellerTransfer:
    """A worker's turn: the transfer is sent, and the row brought up to date."""
    send_transfer(transfer.pk, cause=BY_TEST)
    transfer.refresh_from_db()
    return transfer


def reverse(transfer: SellerTransfer) -> SellerTransfer:
    """A worker's turn: the transfer is reversed, and the row brought up to date."""
    reverse_transfer(transfer.pk, cause=BY_TEST)
    transfer.refresh_from_db()
    return transfer


def debt_of(stripe, seller: User, amount_minor: int = 9_00) -> SellerTransfer:
    """A transfer that was sent and refunded, and that the seller's balance was too low to reverse."""
    transfer = planned(seller, amount_minor=amount_minor)
    stripe.will("create_transfer", accepts_transfer())
    send(transfer)
    refund(transfer.order, seller, amount_minor)
    stripe.will("create_reversal", refuses("balance_insufficient"))
    reverse(transfer)
    return fresh(transfer)


def return_by_bank(refund_row: Refund, transfer: SellerTransfer) -> None:
    """The buyer's bank returns a refund, and the order is settled."""
    move(refund_row, "bounced", cause=BY_TEST)
    settle_order(transfer.order, cause=BY_TEST, at=timezone.now())


def rows_of(transfer: SellerTransfer) -> list[tuple[object, ...]]:
    """Every transfer of the same order: seq, status, amount and reversal target."""
    rows = SellerTransfer.objects.filter(order=transfer.order).order_by("seq")
    return list(rows.values_list("seq", "status", "amount_minor", "reversal_target_minor"))


def reversed_at_stripe(transfer: SellerTransfer, *amounts: int, our_id: str = "") -> RemoteTransfer:
    """The transfer as Stripe shows it with these reversals, the newest first as Stripe lists them."""
    reversals = [
        RemoteReversal(f"trr_{number}", transfer.stripe_transfer_id or "", amount, our_id)
        for number, amount in enumerate(amounts, start=1)
    ]
    return remote_transfer(
        transfer.stripe_transfer_id or "",
        amount_minor=transfer.sent_minor,
        reversed_minor=sum(amounts),
        reversals=tuple(reversed(reversals)),
    )


def movements(sandbox, kind: str) -> list[int]:
    """The amounts the sandbox's Stripe has moved, by kind: `transfer`, `reversal` or `payout`."""
    return [one["amount"] for one in sandbox.truth()["movements"] if one["kind"] == kind]
