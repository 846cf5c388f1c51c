"""The proof across all floors: a payment's ledger against its rows, its order's items and its sellers' transfers."""

from collections import defaultdict
from collections.abc import Mapping

from django.db.models import Sum

from connect.models import SellerTransfer, TransferReversal
from connect.states import ReversalStatus
from marketplace.models import Order, OrderItem
from marketplace.shares import TAKEN, accounts_of, left_of
from payments.accounts import STRIPE_BALANCE
from payments.models import Payment, Posting
from payments.proof import prove


def differences(payment: Payment) -> list[str]:
    """What does not agree about one payment, each as a sentence; an empty list is the proof."""
    found = prove(payment).differences
    order = Order.objects.filter(pk=payment.purpose_id).first() if payment.purpose == Payment.Purpose.ORDER else None
    if order is not None:
        found += _shares(payment, order) + _transfers(order)
    return found


def _shares(payment: Payment, order: Order) -> list[str]:
    """What the items say each account should hold, against what was posted."""
    if order.completed_at is None or payment.received_minor == 0:
        return []
    due = accounts_of(left_of(list(OrderItem.objects.filter(order=order)), TAKEN))
    posted = _posted(payment)
    return [
        f"order {order.pk}: {account} should hold {due.get(account, 0)} and holds {posted.get(account, 0)}"
        for account in sorted(due.keys() | posted.keys())
        if due.get(account, 0) != posted.get(account, 0)
    ]


def _posted(payment: Payment) -> Mapping[str, int]:
    sums: dict[str, int] = defaultdict(int)
    postings = Posting.objects.filter(payment=payment).exclude(debit=STRIPE_BALANCE).exclude(credit=STRIPE_BALANCE)
    for posting in postings:
        sums[posting.debit_id] -= posting.amount_minor
        sums[posting.credit_id] += posting.amount_minor
    return {account: held for account, held in sums.items() if account.startswith("seller:") or account in _OURS}


_OURS = ("platform_fee", "tax")


def _transfers(order: Order) -> list[str]:
    """What each transfer sent and took back, against what was posted for it."""
    found = []
    for transfer in SellerTransfer.objects.filter(order=order):
        sent = transfer.sent_minor if transfer.stripe_transfer_id else 0
        found += _differs(f"transfer:{transfer.pk}", sent, f"transfer {transfer.pk} sent")
        made = TransferReversal.objects.filter(transfer=transfer, status=ReversalStatus.MADE)
        for reversal in made:
            cause = f"reversal:{reversal.stripe_reversal_id}"
            found += _differs(cause, reversal.amount_minor, f"reversal {reversal.stripe_reversal_id} took back")
        back = sum(reversal.amount_minor for reversal in made)
        if back != transfer.reversed_minor:
            found.append(f"transfer {transfer.pk}: {transfer.reversed_minor} reversed, but its reversals made {back}")
    return found


def _differs(cause: str, expected_minor: int, what: str) -> list[str]:
    posted = Posting.objects.filter(cause=cause).aggregate(total=Sum("amount_minor"))["total"] or 0
    return [] if posted == expected_minor else [f"{what} {expected_minor}, and {posted} was posted"]
