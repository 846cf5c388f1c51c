"""The sellers' lines of the ledger: what was sent to a seller, reversed, and written off."""

from datetime import datetime
from uuid import UUID

from connect.models import SellerTransfer, TransferReversal
from marketplace.allocation import payment_applied_to
from payments.ledger.chart_of_accounts import STRIPE_BALANCE, seller_account
from payments.ledger.losses import recover_losses, write_off_loss
from payments.ledger.postings import Line, Reference, post
from payments.models import Payment, Posting
from veza.core.causes import Cause


def post_sent(transfer: SellerTransfer, *, at: datetime) -> None:
    """Post that Stripe took the transfer: from the seller's account with us to their account at Stripe."""
    line = Line(seller_account(transfer.seller_id), STRIPE_BALANCE, transfer.sent_minor, "sent")
    _post(Reference(Posting.Kind.TRANSFER, transfer.pk), line, transfer, at=at)


def post_reversed(transfer: SellerTransfer, reversal: TransferReversal, *, at: datetime) -> None:
    """Post one reversal, whoever made it. The same one twice is an IntegrityError."""
    assert reversal.stripe_reversal_id, "a reversal is posted once Stripe has it"
    assert transfer.reversed_minor + reversal.amount_minor <= transfer.sent_minor, "never more reversed than sent"
    line = Line(STRIPE_BALANCE, seller_account(transfer.seller_id), reversal.amount_minor, "back")
    _post(Reference(Posting.Kind.REVERSAL, reversal.pk), line, transfer, at=at)


def post_written_off(
    transfer: SellerTransfer, *, review_item_id: UUID, amount_minor: int, cause: Cause, at: datetime
) -> None:
    """Post as our loss what a seller will not give back: their account no longer owes it."""
    write_off_loss(
        transfer,
        account=seller_account(transfer.seller_id),
        amount_minor=amount_minor,
        currency=transfer.currency,
        payment=_payment_that_paid(transfer.order_id),
        review_item_id=review_item_id,
        cause=cause,
        at=at,
    )


def post_recovered(transfer: SellerTransfer, amount_minor: int, *, at: datetime) -> None:
    """Post that `amount_minor` of what was written off of a locked transfer has come back: our loss is less."""
    recovered_minor = recover_losses(transfer, up_to_minor=amount_minor, at=at)
    assert recovered_minor == amount_minor, "no more is recovered of a transfer than was written off"


def _post(reference: Reference, line: Line, transfer: SellerTransfer, *, at: datetime) -> None:
    assert line.amount_minor > 0, "a posting moves more than nothing; its direction says who pays"
    payment = _payment_that_paid(transfer.order_id)
    assert payment.currency == transfer.currency, "a seller is paid in the payment's currency"
    post(reference, [line], payment=payment, currency=transfer.currency, correlation_id=transfer.correlation_id, at=at)


def _payment_that_paid(order_id: UUID) -> Payment:
    payment = payment_applied_to(order_id).first()  # An order may be paid twice; what the other brings is returned.
    assert payment is not None, "sellers are paid from money that was received"
    return payment
