"""Refunds that finance paid from our bank account, because Hyperswitch cannot refund the payment any more.

Nothing is sent: the money has moved when finance books it. Licences, invoices and sellers' shares follow as after any
refund. A transfer that the buyer's bank returns is booked as returned, by hand as well.
"""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from django.db import connection
from django.utils import timezone

from payments.models import Payment, Refund
from payments.refunds.refund_postings import allocate_finally, post_out
from payments.refunds.refund_requests import (
    RefundAlreadyRequested,
    limit_of_hyperswitch,
    refuse_excess,
    refuse_in_doubt,
)
from payments.refunds.refund_updates import book_money_back, follow_success
from payments.states import RefundStatus
from veza.core import writes
from veza.core.causes import Cause
from veza.core.errors import NotAllowed
from veza.core.states import move


class HyperswitchCanRefund(NotAllowed):
    code = "hyperswitch_can_refund"
    http_status = 409


class BankTransferBooked(NotAllowed):
    code = "bank_transfer_booked"
    http_status = 409


class NotABankRefund(NotAllowed):
    code = "not_a_bank_refund"
    http_status = 409


def is_beyond_hyperswitch(payment: Payment) -> bool:
    """Whether the buyer has to be paid another way: Hyperswitch refuses a further refund of the payment, or the buyer's
    bank returned one.
    """
    if limit_of_hyperswitch(payment):
        return True
    return payment.refunds.counted_by_hyperswitch().filter(status=RefundStatus.BOUNCED).exists()


def is_bank_refund_possible(payment: Payment) -> bool:
    """Whether finance may book a bank refund of the payment now."""
    return payment.received_minor > 0 and not payment.has_pending_refund() and is_beyond_hyperswitch(payment)


def open_bank_refund(
    *,
    refund_id: UUID,
    payment: Payment,
    amount_minor: int,
    currency: str = "",
    allocation: Mapping[str, int],
    bank_reference: str,
    reason: str,
    requested_by_id: UUID,
) -> Refund:
    """Record a refund that our bank has paid, before it is booked in the same transaction (`book_bank_refund`).

    `payment` is locked by the caller, who has looked for an earlier refund of this id; `amount_minor` is in `currency`,
    by default that which was received first, and `allocation` says whose money it is, account by account. Raises
    PaymentInDoubt, RefundAlreadyRequested, HyperswitchCanRefund, BankTransferBooked, RefundExceedsPayment.
    """
    assert connection.in_atomic_block, "a bank refund is recorded in the commit that books it"
    assert amount_minor > 0, "a refund pays the buyer something"
    assert sum(allocation.values()) == amount_minor, "the allocation of a refund adds up to its amount"
    bank_reference = bank_reference.strip()
    assert bank_reference, "our bank's transfer has a reference"
    refuse_in_doubt(payment)
    currency = currency or payment.held_currency
    _refuse_unless_needed(payment, bank_reference)
    refuse_excess(payment, amount_minor, currency)
    refund = payment.refunds.create(
        pk=refund_id,
        correlation_id=payment.correlation_id,
        amount_minor=amount_minor,
        currency=currency,
        allocation=dict(allocation),
        source=Refund.Source.BANK,
        bank_reference=bank_reference,
        reason=reason,
        requested_by_id=requested_by_id,
    )
    refund.payment = payment
    return refund


def _refuse_unless_needed(payment: Payment, bank_reference: str) -> None:
    if payment.has_pending_refund():
        raise RefundAlreadyRequested(
            "A refund of this payment is in progress: paying from our bank now could pay the buyer twice."
        )
    if payment.refunds.filter(bank_reference=bank_reference).exists():
        raise BankTransferBooked(f"The bank transfer {bank_reference!r} is booked for this payment already.")
    if not is_beyond_hyperswitch(payment):
        raise HyperswitchCanRefund("Hyperswitch can still refund this payment: refund it there.")


def book_bank_refund(refund: Refund, *, cause: Cause, at: datetime) -> None:
    """Post a bank refund that was just recorded, with everything that follows from a refund."""
    assert connection.in_atomic_block, "a bank refund is booked in the commit that records it"
    assert refund.source == Refund.Source.BANK, "a refund at Hyperswitch is booked when Hyperswitch reports it"
    allocate_finally(refund)
    move(refund, RefundStatus.SUCCEEDED, cause=cause, at=at, succeeded_at=at)
    post_out(refund, at=at)
    follow_success(refund, cause=cause, at=at)


@writes.atomic()
def return_bank_refund(*, refund_id: UUID, cause: Cause) -> Refund:
    """Book that the buyer's bank returned a bank refund: the money is ours again, and the buyer is not paid.

    Booking it twice changes nothing. Raises NotABankRefund.
    """
    payment = Payment.objects.locked().get(refunds=refund_id)
    refund = Refund.objects.locked().get(pk=refund_id)
    if refund.source != Refund.Source.BANK:
        raise NotABankRefund("Hyperswitch reports whether this refund was returned: refresh it instead.")
    refund.payment = payment
    if refund.status == RefundStatus.SUCCEEDED:
        at = timezone.now()
        move(refund, RefundStatus.BOUNCED, cause=cause, at=at)
        book_money_back(refund, cause=cause, at=at)
    return refund
