"""Unapplied funds are returned to the buyer automatically: a refund is opened, and the worker sends it."""

from collections.abc import Mapping
from uuid import UUID

from django.db import connection
from django.utils import timezone

from payments.ledger.allocations import Funds, combine, reserved_by_refunds, subtract, unapplied_funds
from payments.models import Payment, Refund
from payments.refunds.refund_requests import (
    PaymentInDoubt,
    RefundAlreadyRequested,
    RefundExceedsPayment,
    RefundLimitReached,
    may_be_refunded,
    open_refund,
)
from payments.review_items import (
    UNAPPLIED_FUNDS,
    follow_lost_funds,
    funds_to_return,
    open_review_of_unapplied_funds,
)
from veza.core import writes
from veza.core.errors import NotAllowed
from veza.core.ids import new_id
from veza.core.models import ReviewItem


class NothingToReturn(NotAllowed):
    code = "nothing_to_send_back"


def return_unapplied_funds(payment: Payment, *, surplus: Mapping[str, int] | None = None, reason: str) -> bool:
    """Return the unapplied part of a locked payment, and a `surplus` that was applied in vain, in one refund.

    In the caller's transaction. It never refuses, because the money was received already: where no refund can be opened
    (too old, one pending, disputed, in doubt), a review item asks finance. Returns whether a refund was opened.
    """
    assert connection.in_atomic_block, "the payment is locked while its unapplied funds are returned"
    assert all(amount > 0 for amount in (surplus or {}).values()), "money is returned, never taken, from an account"
    allocation = combine(subtract(reserved_by_refunds(payment), unapplied_funds(payment)), surplus or {})
    if not allocation:
        return False
    funds = Funds(allocation, payment.held_currency)
    try:
        open_return_of_funds(payment, funds, refund_id=new_id(), reason=reason)
    except (PaymentInDoubt, RefundAlreadyRequested, RefundExceedsPayment, RefundLimitReached) as error:
        open_review_of_unapplied_funds(payment, funds, f"{reason} No refund could be opened: {error.text}")
        return False
    return True


def open_return_of_funds(payment: Payment, funds: Funds, *, refund_id: UUID, reason: str) -> Refund:
    """Open a refund that the worker sends from now on; the payment is locked. Raises what `open_refund` raises."""
    return open_refund(
        refund_id=refund_id,
        payment=payment,
        amount_minor=funds.total_minor,
        currency=funds.currency,
        allocation=funds.allocation,
        source=Refund.Source.LATE_PAYMENT,
        reason=reason,
        requested_by_id=None,
        send_after=timezone.now(),
    )


@writes.atomic()
def retry_return_of_funds(*, refund_id: UUID, payment_id: UUID, reason: str) -> Refund:
    """Open another refund of unapplied funds, under a new id, after the last one failed.

    The same id again returns the first. Raises NothingToReturn when the funds are not held any more,
    PaymentInDoubt, RefundAlreadyRequested, RefundExceedsPayment, RefundLimitReached.
    """
    payment = Payment.objects.locked().get(pk=payment_id)
    if earlier := payment.refunds.filter(pk=refund_id).first():
        return earlier
    funds = funds_to_return(payment)
    if not funds.allocation:
        raise NothingToReturn("This payment has no unapplied funds to return.")
    return open_return_of_funds(payment, funds, refund_id=refund_id, reason=reason)


def has_returnable_funds(payment: Payment) -> bool:
    """Whether unapplied funds of a payment are held, and a refund of them would be accepted now."""
    return bool(payment.received_minor) and may_be_refunded(payment, funds_to_return(payment))


def follow_lost_funds_under_review() -> None:
    """Close the review items about unapplied funds that a dispute had taken before Veza followed that, in the caller's
    transaction.
    """
    items = ReviewItem.objects.filter(kind=UNAPPLIED_FUNDS, closed_at__isnull=True)
    for payment in Payment.objects.locked().filter(pk__in=items.values("subject_id"), disputed_minor__gt=0):
        follow_lost_funds(payment, lost_before_minor=0)
