"""Review items about refunds: opened by one update, closed when another one resolves them."""

from payments.ledger.allocations import Funds
from payments.models import Refund
from payments.review_items import (
    AMOUNT_IN_DOUBT,
    EXTERNAL_REFUND,
    IN_DOUBT,
    PAYMENT_VOIDED,
    REFUND_DIFFERS,
    REFUND_EXCESS,
    REFUND_OVERDUE,
    RETRY_RETURN,
    RETURNED,
    UNAPPLIED_FUNDS,
    close_review_of_unapplied_funds,
    open_review_of_unapplied_funds,
    update_review_of_doubt,
)
from payments.states import RefundStatus
from veza.core.models import ReviewItem
from veza.core.money import format_amount
from veza.core.reviews import close_review, open_review


def update_reviews_after_failure(refund: Refund) -> None:
    """A refund of unapplied funds was not requested by hand: finance would not notice that it failed."""
    for kind in (IN_DOUBT, REFUND_OVERDUE):
        close_review(kind, refund, note="The refund failed.")
    if refund.source == Refund.Source.LATE_PAYMENT:
        error = " ".join(filter(None, (refund.error_code, refund.error_message))) or "Hyperswitch gave no reason"
        close_review(UNAPPLIED_FUNDS, refund.payment, note="Retried; the refund failed again.")
        funds = Funds(refund.allocation, refund.booked_currency)
        open_review_of_unapplied_funds(refund.payment, funds, f"The refund that should return it failed: {error}.")


def update_reviews_after_success(refund: Refund) -> None:
    """Close what was in doubt about the refund. If it is external, support has to know."""
    for kind in (IN_DOUBT, RETURNED, REFUND_OVERDUE):
        close_review(kind, refund, note="The refund succeeded.")
    close_review_of_unapplied_funds(refund.payment)
    if refund.source == Refund.Source.VOID:
        _open_review_of_void(refund)
    else:
        _close_reviews_of_repeated(refund)
    _update_review_of_difference(refund)
    update_review_of_doubt(refund, is_in_doubt=refund.is_in_doubt())
    if refund.source == Refund.Source.EXTERNAL:
        amount = format_amount(refund.amount_minor, refund.currency)
        open_review(
            EXTERNAL_REFUND,
            refund,
            why=f"{amount} was refunded in Hyperswitch's dashboard instead of in Veza.",
            what_to_do="The books are up to date. Support: mark the refund as expected, and refund in Veza next time, "
            "where sellers are notified.",
            amount_minor=refund.amount_minor,
            currency=refund.currency,
        )


def _open_review_of_void(refund: Refund) -> None:
    """Money went away at the provider, and with it licences and sellers' shares: support has to know."""
    amount = format_amount(refund.amount_minor, refund.currency)
    open_review(
        PAYMENT_VOIDED,
        refund,
        why=f"{amount} of a payment is not there any more. {refund.reason}",
        what_to_do="The books, licences and sellers' shares are up to date. Support: tell the buyer, then mark the "
        "refund as expected.",
        amount_minor=refund.amount_minor,
        currency=refund.currency,
    )


def _close_reviews_of_repeated(refund: Refund) -> None:
    """Refunds that the bank had returned are resolved by one requested since, as far as its amount covers theirs."""
    rest_minor = refund.amount_minor
    returned = Refund.objects.filter(payment=refund.payment_id, status=RefundStatus.BOUNCED, currency=refund.currency)
    items = ReviewItem.objects.filter(kind=RETURNED, closed_at__isnull=True, opened_at__lt=refund.created_at)
    for item in items.filter(subject_id__in=returned.values("pk")).order_by("pk"):
        if item.amount_minor <= rest_minor:
            rest_minor -= item.amount_minor
            close_review(RETURNED, returned.get(pk=item.subject_id), note="The buyer was refunded again.")


def _update_review_of_difference(refund: Refund) -> None:
    """Open a review item when another amount was refunded than was requested; close an earlier one first."""
    close_review(REFUND_DIFFERS, refund, note="The refund is booked with the amount that Hyperswitch reports now.")
    if refund.requested_minor is None:
        return
    requested = format_amount(refund.requested_minor, refund.payment.held_currency)
    amount = format_amount(refund.amount_minor, refund.currency)
    is_same_currency = refund.currency == refund.payment.held_currency
    difference_minor = abs(refund.requested_minor - (refund.amount_minor if is_same_currency else 0))
    open_review(
        REFUND_DIFFERS,
        refund,
        why=f"{requested} was requested, and Hyperswitch refunded {amount}. The refund is booked as it is.",
        what_to_do="Finance: compare it with Hyperswitch's dashboard, refund what is missing on the page of the order "
        "or invoice, and mark the refund as expected.",
        amount_minor=difference_minor,
        currency=refund.payment.held_currency,
    )


def open_review_of_returned_refund(refund: Refund) -> None:
    """The bank returned the money: support has to pay the buyer another way. After a void it is just there again."""
    if refund.source == Refund.Source.VOID:
        for kind in (PAYMENT_VOIDED, REFUND_EXCESS):
            close_review(kind, refund, note="The money is there again.")
        return
    for kind in (IN_DOUBT, AMOUNT_IN_DOUBT, REFUND_EXCESS, REFUND_DIFFERS, EXTERNAL_REFUND):
        close_review(kind, refund, note="The refund was returned by the buyer's bank.")
    what_to_do = (
        "Support: ask the buyer where they want to be paid. Finance: pay them from our bank account, then press “Book "
        "bank refund” on the page of the order or invoice. The buyer has what they bought meanwhile."
    )
    if refund.source == Refund.Source.LATE_PAYMENT:
        close_review(UNAPPLIED_FUNDS, refund.payment, note="The refund was returned by the buyer's bank.")
        what_to_do = RETRY_RETURN
    open_review(
        RETURNED,
        refund,
        why="The refund had succeeded and was then returned by the buyer's bank.",
        what_to_do=what_to_do,
        amount_minor=refund.amount_minor,
        currency=refund.currency,
    )


def open_review_of_refund_in_doubt(refund: Refund, why: str) -> None:
    """Hyperswitch reports something about the refund that only its own staff can resolve."""
    open_review(
        IN_DOUBT,
        refund,
        why=why,
        what_to_do="Finance: check the refund in Hyperswitch's dashboard. It stays pending here until Hyperswitch "
        "decides.",
        amount_minor=refund.amount_minor,
        currency=refund.currency,
    )
