"""Review items about payments: opened by one update, closed when another one resolves them.

The kinds about refunds and disputes are named here too, as they are stored, and nowhere else; their rooms write the
items.
"""

from uuid import UUID

from payments.ledger import allocations
from payments.ledger.allocations import Funds
from payments.ledger.chart_of_accounts import UNAPPLIED
from payments.models import Dispute, Payment, Refund
from payments.states import PaymentStatus, RefundStatus
from veza.core import reads
from veza.core.models import ReviewItem
from veza.core.money import format_amount
from veza.core.reviews import close_review, open_review, update_review_amount

MISMATCH = "payment_mismatch"
PAYMENT_STATUS_UNKNOWN = "payment_status_unknown"
PAYMENT_CONTRADICTED = "payment_contradicted"
PAYMENT_AMOUNT_MISSING = "payment_amount_missing"
PAYMENT_VOIDED = "payment_voided"
REFUND_CONTRADICTED = "refund_contradicted"
UNAPPLIED_FUNDS = "unapplied_funds"
EXTERNAL_REFUND = "external_refund"
RETURNED = "refund_returned"
REFUND_EXCESS = "refund_exceeds_payment"
REFUND_DIFFERS = "refund_amount_differs"
IN_DOUBT = "refund_in_doubt"
REFUND_OVERDUE = "refund_overdue"
AMOUNT_IN_DOUBT = "amount_in_doubt"
DISPUTE_TO_ANSWER = "dispute_to_answer"
DISPUTE_EXCESS = "dispute_exceeds_payment"
DISPUTE_STATUS_UNKNOWN = "dispute_status_unknown"

RETRY_RETURN = (
    "Finance: press “Retry return of funds” on the payment's page. Where Hyperswitch cannot refund it any more, pay "
    "the buyer from our bank account, then press “Book bank refund”."
)
# Automatic refunds of unapplied funds that failed or were returned by the bank, newest first.
_FAILED_RETURNS_OF = reads.Read(
    lambda payment_id: Refund.objects.filter(
        payment=payment_id, source=Refund.Source.LATE_PAYMENT, status__in=(RefundStatus.FAILED, RefundStatus.BOUNCED)
    ).order_by("-pk"),
    UUID,
)
_OPEN_UNAPPLIED = reads.Read(
    lambda payment_id: ReviewItem.objects.filter(
        kind=UNAPPLIED_FUNDS, subject_id=payment_id, closed_at__isnull=True
    ).values_list("pk"),
    UUID,
)
# What to do about money that was taken beyond a payment.
RECOVER = "Finance: recover it from the buyer or through Hyperswitch, or write it off."


def open_review_of_mismatch(payment: Payment, why: str) -> None:
    """The amount or currency received is wrong: finance decides about the money."""
    captured_minor, currency = payment.captured_funds()
    open_review(
        MISMATCH,
        payment,
        why=why,
        what_to_do=f"Finance: compare the payment with Hyperswitch's dashboard, then {_ends_of_mismatch(payment)}",
        amount_minor=captured_minor,
        currency=currency,
    )


def _ends_of_mismatch(payment: Payment) -> str:
    """The actions that end a mismatch, as they are offered."""
    if not payment.received_minor:
        return "press “Refund in full”: nothing was received, so the payment is only cancelled."
    refund = "press “Refund in full”. What is on its way back already, or disputed, is waited for first."
    if allocations.foreign_funds(payment).allocation:
        return refund
    if allocations.is_applied(payment):
        return "press “Accept received amount”; refund the order or invoice after that if it has to be."
    is_too_little = payment.refundable_minor() < payment.amount_minor or payment.held_currency != payment.currency
    if is_too_little:
        return refund
    return "press “Accept received amount” or “Refund in full”."


def open_review_of_contradiction(row: Payment | Refund, first: str, second: str) -> None:
    """Two reads contradict a payment or refund, and each other: it is read every minute until two of them agree."""
    name = row._meta.verbose_name
    funds = row.captured_funds() if isinstance(row, Payment) else (row.amount_minor, row.currency)
    open_review(
        PAYMENT_CONTRADICTED if isinstance(row, Payment) else REFUND_CONTRADICTED,
        row,
        why=f"Hyperswitch reports two different states of this {name}: {first}, then {second}. The {name} stays "
        f"{row.status}, and sellers are not paid meanwhile.",
        what_to_do=f"Support: check the {name} in Hyperswitch's dashboard, then press “Refresh from Hyperswitch”. This "
        "item closes when two reads a minute apart agree.",
        amount_minor=funds[0],
        currency=funds[1],
    )


def close_review_of_contradiction(row: Payment | Refund, remote_status: str) -> None:
    """Close what is open about contradicting reads: two of them agree, or a newer webhook has decided."""
    for kind in (PAYMENT_CONTRADICTED, REFUND_CONTRADICTED):
        close_review(kind, row, note=f"The status at Hyperswitch is {remote_status}.")


def open_review_of_missing_amount(payment: Payment) -> None:
    """Hyperswitch reports a success and never an amount: the purchase waits for finance to enter it."""
    open_review(
        PAYMENT_AMOUNT_MISSING,
        payment,
        why="Hyperswitch reports that the payment succeeded, and does not say how much was received.",
        what_to_do="Finance: look the received amount up in Hyperswitch's dashboard, then press “Enter received "
        "amount” on the payment's page.",
        amount_minor=payment.amount_minor,
        currency=payment.currency,
    )


def update_review_of_surplus(payment: Payment) -> None:
    """More was received for a payment that was applied already: finance returns it. Replaces an open review item."""
    remaining = allocations.unapplied_funds(payment)
    surplus_minor = sum(allocations.subtract(allocations.reserved_by_refunds(payment), remaining).values())
    if surplus_minor:
        close_review(UNAPPLIED_FUNDS, payment, note="More was received.")
        price = format_amount(payment.amount_minor, payment.currency)
        funds = Funds({UNAPPLIED: surplus_minor}, payment.held_currency)
        open_review_of_unapplied_funds(payment, funds, f"The price of {price} had been received before.")


def open_review_of_payment_status(payment: Payment, remote_status: str) -> None:
    """Nothing can be accepted or refunded: the payment stays as it is until Hyperswitch reports a known status."""
    open_review(
        PAYMENT_STATUS_UNKNOWN,
        payment,
        why=f"Hyperswitch reports the status {remote_status!r}, which Veza does not know. The payment stays "
        f"{payment.status}.",
        what_to_do="Support: check the payment in Hyperswitch's dashboard. This item closes when its status is a known "
        "one.",
        amount_minor=payment.received_minor,
        currency=payment.held_currency,
    )


def open_review_of_unapplied_funds(payment: Payment, funds: Funds, why: str) -> None:
    """The buyer paid for nothing, and the money could not be returned automatically."""
    assert funds.total_minor > 0, "unapplied funds are an amount that is held"
    amount = format_amount(funds.total_minor, funds.currency)
    open_review(
        UNAPPLIED_FUNDS,
        payment,
        why=f"{amount} received from the buyer pays for nothing and was not returned. {why}",
        what_to_do=RETRY_RETURN,
        amount_minor=funds.total_minor,
        currency=funds.currency,
    )


def close_review_of_unapplied_funds(payment: Payment) -> None:
    """Close what is open about unapplied funds that are not held any more: they were returned after all, or applied."""
    refunds, items = reads.together(_FAILED_RETURNS_OF.on(payment.pk), _OPEN_UNAPPLIED.on(payment.pk))
    if (refunds or items) and not funds_to_return(payment).allocation:
        close_review(UNAPPLIED_FUNDS, payment, note="The funds are not held any more.")
        for refund in refunds:
            close_review(RETURNED, refund, note="Another refund returned the funds.")


def follow_lost_funds(payment: Payment, *, lost_before_minor: int) -> None:
    """Bring what is open about unapplied funds up to date after a dispute took them, or gave them back to us.

    What a lost dispute took the buyer has from their bank, and the dispute has booked it: it is returned no more. The
    item closes when nothing is left to return, and is opened again when the bank gives something back.
    `lost_before_minor` is what disputes had taken before.
    """
    lost_minor = lost_unapplied_minor(payment)
    if lost_minor == lost_before_minor:
        return
    funds = funds_to_return(payment)
    if not funds.allocation:
        note = f"Lost to a dispute: the buyer has {format_amount(lost_minor, payment.held_currency)} from their bank."
        close_review(UNAPPLIED_FUNDS, payment, note=note)
        close_review(RETURNED, *_FAILED_RETURNS_OF(payment.pk), note=note)
    elif lost_minor > lost_before_minor or _OPEN_UNAPPLIED(payment.pk):
        update_review_amount(UNAPPLIED_FUNDS, payment, funds.total_minor)
    elif not payment.has_pending_refund():
        open_review_of_unapplied_funds(payment, funds, "A dispute had taken it, and the bank gave it back to us.")


def lost_unapplied_minor(payment: Payment) -> int:
    """What lost disputes took of a payment's unapplied funds, in minor units of the currency that it holds."""
    return _lost_of(payment, payment.held_currency).get(UNAPPLIED, 0)


def funds_to_return(payment: Payment) -> Funds:
    """Unapplied funds that should have been returned and are still held, not lost to a dispute: those of the last
    failed refund of them, or the unapplied part of a payment that is decided.
    """
    for refund in _FAILED_RETURNS_OF(payment.pk):
        remaining = allocations.remaining_in(refund.booked_currency, payment)
        remaining = allocations.subtract(_lost_of(payment, refund.booked_currency), remaining)
        if all(remaining.get(account, 0) >= amount for account, amount in refund.allocation.items()):
            return Funds(dict(refund.allocation), refund.booked_currency)
    if payment.status not in (PaymentStatus.SUCCEEDED, PaymentStatus.FAILED, PaymentStatus.CANCELLED):
        return Funds({}, payment.held_currency)
    unapplied = allocations.unapplied_funds(payment)
    taken_by_banks = _lost_of(payment, payment.held_currency) if unapplied else {}
    return Funds(allocations.subtract(taken_by_banks, unapplied), payment.held_currency)


def _lost_of(payment: Payment, currency: str) -> allocations.Allocation:
    return allocations.disputed_of(payment, currency, Dispute.FundsLocation.BANK)


def update_review_of_doubt(row: Refund | Dispute, *, is_in_doubt: bool) -> None:
    """Open a review item while it is not known how much of the payment a refund or dispute takes; close it afterwards.

    An earlier one is closed first: the amount may have changed.
    """
    close_review(AMOUNT_IN_DOUBT, row, note="The amount is known, has changed, or is not taken any more.")
    if is_in_doubt:
        open_review_of_doubt(row)


def open_review_of_doubt(row: Refund | Dispute) -> None:
    """Ask finance how much of its payment a refund or dispute of another currency takes, unless that is asked."""
    payment, name = row.payment, row._meta.verbose_name
    amount = format_amount(row.amount_minor, row.currency)
    received = format_amount(payment.received_minor, payment.held_currency)
    open_review(
        AMOUNT_IN_DOUBT,
        row,
        why=f"The {name} takes {amount} of a payment of {received}: how much that is in {payment.held_currency} is not "
        "known. Refunds and transfers of this payment wait.",
        what_to_do=f"Finance: find the amount in {payment.held_currency} in Hyperswitch's dashboard or a statement, "
        f"and press “Enter converted amount” on the {name}'s page.",
        amount_minor=row.amount_minor,
        currency=row.currency,
    )
