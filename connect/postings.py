"""The sellers' lines of the ledger: what was sent to a seller, reversed, and written off."""

from datetime import datetime
from uuid import UUID

from django.db import connection

from connect.models import SellerTransfer
from payments.ledger.chart_of_accounts import DISPUTE_LOSS, STRIPE_BALANCE, seller_account
from payments.ledger.postings import Line, post
from payments.models import Payment


def post_sent(transfer: SellerTransfer, *, at: datetime) -> None:
    """Book that Stripe took the transfer: from the seller's account with us to their account at Stripe."""
    line = Line(seller_account(transfer.seller_id), STRIPE_BALANCE, transfer.sent_minor, "sent")
    _post(f"transfer:{transfer.pk}", line, transfer, at=at)


def post_reversed(transfer: SellerTransfer, *, stripe_reversal_id: str, amount_minor: int, at: datetime) -> None:
    """Book one reversal, whoever made it. The same one twice is an IntegrityError."""
    assert stripe_reversal_id, "a reversal is booked under Stripe's id, so that it is booked once"
    assert transfer.reversed_minor + amount_minor <= transfer.sent_minor, "never more reversed than sent"
    line = Line(STRIPE_BALANCE, seller_account(transfer.seller_id), amount_minor, "back")
    _post(f"reversal:{stripe_reversal_id}", line, transfer, at=at)


def post_written_off(transfer: SellerTransfer, *, review_id: UUID, amount_minor: int, at: datetime) -> None:
    """Book a debt that no seller will pay as our loss: their account no longer owes it."""
    seller = seller_account(transfer.seller_id)
    _post(f"case:{review_id}", Line(DISPUTE_LOSS, seller, amount_minor, seller), transfer, at=at)


def _post(reference: str, line: Line, transfer: SellerTransfer, *, at: datetime) -> None:
    assert connection.in_atomic_block, "a posting is committed together with the row it is about"
    assert line.amount_minor > 0, "a posting moves more than nothing; its direction says who pays"
    payment = _payment_that_paid(transfer.order_id)
    assert payment is None or payment.currency == transfer.currency, "a seller is paid in the payment's currency"
    post(reference, [line], payment=payment, currency=transfer.currency, correlation_id=transfer.correlation_id, at=at)


def _payment_that_paid(order_id: UUID) -> Payment | None:
    # An order may be paid late and twice; the first success fulfilled it, the others are returned as unapplied funds.
    successes = Payment.objects.of(Payment.Purpose.ORDER, order_id).filter(received_minor__gt=0)
    return successes.order_by("succeeded_at", "pk").only("pk", "currency").first()
