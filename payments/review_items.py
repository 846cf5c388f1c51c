"""What a person has to know about a refund: opened when a fact asks for it, closed when a later one settles it."""

from django.db.models import QuerySet

from payments.ledger import allocations
from payments.ledger.allocations import Allocation
from payments.models import Payment, Refund
from payments.states import PaymentStatus, RefundStatus
from veza.core.models import ReviewItem
from veza.core.money import format_amount
from veza.core.reviews import close_review, open_review

EXTERNAL_REFUND = "refund_at_dashboard"
UNAPPLIED_FUNDS = "late_money_not_returned"
BOUNCED = "refund_bounced"
EXCEEDS = "refund_exceeds_payment"
IN_DOUBT = "refund_in_doubt"


def update_reviews_after_failure(refund: Refund) -> None:
    """Nobody asked for a refund of late money, so nobody would notice that it failed: a person is told."""
    close_review(IN_DOUBT, refund, note="The refund failed.")
    if refund.source == Refund.Source.LATE_PAYMENT:
        payload = " ".join(filter(None, (refund.error_code, refund.error_message))) or "the provider gave no reason"
        close_review(UNAPPLIED_FUNDS, refund.payment, note="Tried again, and not returned.")
        open_review_of_unapplied_funds(
            refund.payment, refund.amount_minor, f"The refund that should return it failed: {payload}."
        )


def update_reviews_after_success(refund: Refund) -> None:
    """Whatever was in doubt about it is settled. Of one that was made past us, somebody has to know."""
    for kind in (IN_DOUBT, BOUNCED):
        close_review(kind, refund, note="The refund succeeded.")
    close_review_of_unapplied_funds(refund.payment)
    if refund.source == Refund.Source.EXTERNAL:
        amount = format_amount(refund.amount_minor, refund.currency)
        open_review(
            EXTERNAL_REFUND,
            refund,
            why=f"{amount} was given back at the provider's dashboard, past us.",
            what_to_do="The books follow it. Ask whoever did it to refund here, where sellers are told.",
            amount_minor=refund.amount_minor,
            currency=refund.currency,
        )


def open_review_of_unapplied_funds(payment: Payment, amount_minor: int, why: str) -> None:
    """A case about money that pays for nothing and could not be returned."""
    amount = format_amount(amount_minor, payment.held_currency)
    open_review(
        UNAPPLIED_FUNDS,
        payment,
        why=f"{amount} of the buyer's money pays for nothing. {why}",
        what_to_do="Send it back again on the payment's page, or pay the buyer another way and close this case.",
        amount_minor=amount_minor,
        currency=payment.held_currency,
    )


def close_review_of_unapplied_funds(payment: Payment) -> None:
    """Close what is open about late money that is not here any more: it was returned after all, or claimed."""
    about = ReviewItem.objects.filter(kind=UNAPPLIED_FUNDS, subject_id=payment.pk, closed_at__isnull=True)
    tried = list(_tried(payment))
    if (tried or about.exists()) and not funds_to_return(payment):
        close_review(UNAPPLIED_FUNDS, payment, note="The money is not here any more.")
        for refund in tried:
            close_review(BOUNCED, refund, note="Another refund returned it.")


def funds_to_return(payment: Payment) -> Allocation:
    """Late money that should have gone back and is still here: as the last refund of it that came to nothing had it,
    or what nobody claims of a payment about which everything is decided."""
    left = allocations.remaining_of(payment)
    for refund in _tried(payment):
        if all(left.get(account, 0) >= amount for account, amount in refund.allocation.items()):
            return dict(refund.allocation)
    decided = payment.status in (PaymentStatus.SUCCEEDED, PaymentStatus.FAILED, PaymentStatus.CANCELLED)
    return allocations.unapplied_funds(payment) if decided else {}


def _tried(payment: Payment) -> QuerySet[Refund]:
    """Refunds of late money that came to nothing, newest first."""
    came_to_nothing = (RefundStatus.FAILED, RefundStatus.BOUNCED)
    return payment.refunds.filter(source=Refund.Source.LATE_PAYMENT, status__in=came_to_nothing).order_by("-pk")


def open_review_of_returned_refund(refund: Refund) -> None:
    """The money left and came back: somebody has to find the buyer another way."""
    for kind in (IN_DOUBT, EXCEEDS, EXTERNAL_REFUND):
        close_review(kind, refund, note="The buyer's bank sent it back.")
    what_to_do = "Ask the buyer for another way to be paid, then refund again; the licences are theirs meanwhile."
    if refund.source == Refund.Source.LATE_PAYMENT:
        close_review(UNAPPLIED_FUNDS, refund.payment, note="The buyer's bank sent it back.")
        what_to_do = "Send it back again on the payment's page, or pay the buyer another way and close this case."
    open_review(
        BOUNCED,
        refund,
        why="The refund had succeeded and was then sent back by the buyer's bank.",
        what_to_do=what_to_do,
        amount_minor=refund.amount_minor,
        currency=refund.currency,
    )


def open_review_of_refund_in_doubt(refund: Refund, why: str) -> None:
    """The provider says something of it that only a person there can clear up."""
    open_review(
        IN_DOUBT,
        refund,
        why=why,
        what_to_do="Look at the refund in the provider's dashboard; Veza keeps it pending until the provider decides.",
        amount_minor=refund.amount_minor,
        currency=refund.currency,
    )


def open_review_of_refund_excess(refund: Refund, excess_minor: int) -> None:
    """More was given back than there was: it is nobody's money but ours."""
    open_review(
        EXCEEDS,
        refund,
        why=f"{format_amount(excess_minor, refund.currency)} more was given back than was left of the payment.",
        what_to_do="Recover it from the buyer or the provider, or write it off.",
        amount_minor=excess_minor,
        currency=refund.currency,
    )
