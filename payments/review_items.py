"""What a person has to know about a refund: opened when a fact asks for it, closed when a later one settles it."""

from django.db.models import QuerySet

from payments.ledger import allocation
from payments.ledger.allocation import Legs
from payments.models import Payment, Refund
from payments.states import PaymentStatus, RefundStatus
from veza.core.models import OperatorCase
from veza.core.money import written
from veza.core.reviews import close_case, open_case

MADE_THERE = "refund_at_dashboard"
NOT_RETURNED = "late_money_not_returned"
BOUNCED = "refund_bounced"
EXCEEDS = "refund_exceeds_payment"
IN_DOUBT = "refund_in_doubt"


def tell_of_failure(refund: Refund) -> None:
    """Nobody asked for a refund of late money, so nobody would notice that it failed: a person is told."""
    close_case(IN_DOUBT, refund, note="The refund failed.")
    if refund.source == Refund.Source.LATE_PAYMENT:
        said = " ".join(filter(None, (refund.error_code, refund.error_message))) or "the provider gave no reason"
        close_case(NOT_RETURNED, refund.payment, note="Tried again, and not returned.")
        tell_of_late_money(refund.payment, refund.amount_minor, f"The refund that should return it failed: {said}.")


def tell_of_success(refund: Refund) -> None:
    """Whatever was in doubt about it is settled. Of one that was made past us, somebody has to know."""
    for kind in (IN_DOUBT, BOUNCED):
        close_case(kind, refund, note="The refund succeeded.")
    settle_late_money(refund.payment)
    if refund.source == Refund.Source.EXTERNAL:
        amount = written(refund.amount_minor, refund.currency)
        open_case(
            MADE_THERE,
            refund,
            why=f"{amount} was given back at the provider's dashboard, past us.",
            what_to_do="The books follow it. Ask whoever did it to refund here, where sellers are told.",
            amount_minor=refund.amount_minor,
            currency=refund.currency,
        )


def tell_of_late_money(payment: Payment, amount_minor: int, why: str) -> None:
    """A case about money that pays for nothing and could not be returned."""
    amount = written(amount_minor, payment.held_currency)
    open_case(
        NOT_RETURNED,
        payment,
        why=f"{amount} of the buyer's money pays for nothing. {why}",
        what_to_do="Send it back again on the payment's page, or pay the buyer another way and close this case.",
        amount_minor=amount_minor,
        currency=payment.held_currency,
    )


def settle_late_money(payment: Payment) -> None:
    """Close what is open about late money that is not here any more: it was returned after all, or claimed."""
    about = OperatorCase.objects.filter(kind=NOT_RETURNED, subject_id=payment.pk, closed_at__isnull=True)
    tried = list(_tried(payment))
    if (tried or about.exists()) and not not_returned(payment):
        close_case(NOT_RETURNED, payment, note="The money is not here any more.")
        for refund in tried:
            close_case(BOUNCED, refund, note="Another refund returned it.")


def not_returned(payment: Payment) -> Legs:
    """Late money that should have gone back and is still here: as the last refund of it that came to nothing had it,
    or what nobody claims of a payment about which everything is decided."""
    left = allocation.left_of(payment)
    for refund in _tried(payment):
        if all(left.get(account, 0) >= amount for account, amount in refund.legs.items()):
            return dict(refund.legs)
    decided = payment.status in (PaymentStatus.SUCCEEDED, PaymentStatus.FAILED, PaymentStatus.CANCELLED)
    return allocation.unclaimed(payment) if decided else {}


def _tried(payment: Payment) -> QuerySet[Refund]:
    """Refunds of late money that came to nothing, newest first."""
    came_to_nothing = (RefundStatus.FAILED, RefundStatus.BOUNCED)
    return payment.refunds.filter(source=Refund.Source.LATE_PAYMENT, status__in=came_to_nothing).order_by("-pk")


def tell_of_bounce(refund: Refund) -> None:
    """The money left and came back: somebody has to find the buyer another way."""
    for kind in (IN_DOUBT, EXCEEDS, MADE_THERE):
        close_case(kind, refund, note="The buyer's bank sent it back.")
    what_to_do = "Ask the buyer for another way to be paid, then refund again; the licences are theirs meanwhile."
    if refund.source == Refund.Source.LATE_PAYMENT:
        close_case(NOT_RETURNED, refund.payment, note="The buyer's bank sent it back.")
        what_to_do = "Send it back again on the payment's page, or pay the buyer another way and close this case."
    open_case(
        BOUNCED,
        refund,
        why="The refund had succeeded and was then sent back by the buyer's bank.",
        what_to_do=what_to_do,
        amount_minor=refund.amount_minor,
        currency=refund.currency,
    )


def tell_of_doubt(refund: Refund, why: str) -> None:
    """The provider says something of it that only a person there can clear up."""
    open_case(
        IN_DOUBT,
        refund,
        why=why,
        what_to_do="Look at the refund in the provider's dashboard; Veza keeps it pending until the provider decides.",
        amount_minor=refund.amount_minor,
        currency=refund.currency,
    )


def tell_of_excess(refund: Refund, excess_minor: int) -> None:
    """More was given back than there was: it is nobody's money but ours."""
    open_case(
        EXCEEDS,
        refund,
        why=f"{written(excess_minor, refund.currency)} more was given back than was left of the payment.",
        what_to_do="Recover it from the buyer or the provider, or write it off.",
        amount_minor=excess_minor,
        currency=refund.currency,
    )
