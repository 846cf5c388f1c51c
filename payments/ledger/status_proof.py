"""The proof that a payment's status is true of its money: one that has ended keeps none, a paid one has its price."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from payments.ledger.chart_of_accounts import RECOVERABLE
from payments.ledger.proof import Fault
from payments.models import Dispute, ForeignReceipt, Payment, Refund
from payments.states import PaymentStatus, RefundStatus
from veza.core.money import format_amount

# Only these keep what was received: the purchase has it, or finance has yet to decide about it.
_KEEPING = (PaymentStatus.SUCCEEDED, PaymentStatus.MISMATCHED)


def contradictions_of_status(
    payment: Payment, receipts: Sequence[ForeignReceipt], refunds: Sequence[Refund], disputes: Sequence[Dispute]
) -> Iterator[Fault]:
    """Where the status of a payment, or its id at Hyperswitch, contradicts the money that it received."""
    received, currency = payment.received_minor, payment.held_currency
    amount = format_amount(received, currency)
    if received and not payment.hyperswitch_payment_id:
        yield Fault(f"{amount} was received, and the payment has no id at Hyperswitch", received, currency)
    is_paid = currency == payment.currency and received >= payment.amount_minor
    if payment.status == PaymentStatus.SUCCEEDED and not is_paid:
        price = format_amount(payment.amount_minor, payment.currency)
        text = f"it is succeeded, and {amount} of {price} was received"
        yield Fault(text, payment.amount_minor, payment.currency)
    if payment.status in _KEEPING:
        return
    for kept_currency, kept_minor in _balances(payment, receipts, refunds, disputes).items():
        if kept_minor > 0:
            text = f"it is {payment.status}, and {format_amount(kept_minor, kept_currency)} of what it received is kept"
            yield Fault(text, kept_minor, kept_currency)


def _balances(
    payment: Payment, receipts: Sequence[ForeignReceipt], refunds: Sequence[Refund], disputes: Sequence[Dispute]
) -> dict[str, int]:
    """By currency, what was received and neither went to the buyer nor was lost to the bank."""
    balances: dict[str, int] = defaultdict(int, {payment.held_currency: payment.received_minor})
    for receipt in receipts:
        balances[receipt.currency] += receipt.received_minor
    rows: list[Refund | Dispute] = [refund for refund in refunds if refund.status == RefundStatus.SUCCEEDED]
    rows += [dispute for dispute in disputes if dispute.funds_location == Dispute.FundsLocation.BANK]
    for row in rows:
        balances[row.booked_currency] -= row.booked_minor - row.allocation.get(RECOVERABLE, 0)
    return balances
