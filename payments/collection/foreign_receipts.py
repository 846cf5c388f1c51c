"""Money of a payment in another currency than it received first: booked in its own, and never mixed with the first.

Hyperswitch's payment has one currency at a time. Once it holds another one, nothing of the first is there any more.
"""

from datetime import datetime

from django.db import connection

from payments.disputes.dispute_postings import book_disputes, update_reviews_of_amount
from payments.ledger.chart_of_accounts import RECOVERABLE
from payments.ledger.postings import post_foreign_receipt
from payments.models import ForeignReceipt, Payment, Refund
from payments.refunds.refund_postings import post_other_amount
from payments.refunds.refund_updates import follow_success
from payments.states import RefundStatus
from veza.core.causes import Cause


def receive_foreign(payment: Payment, amount_minor: int, *, currency: str, cause: Cause, at: datetime) -> None:
    """Book what a locked payment received in addition, in another currency than first.

    What refunds and disputes took in that currency, and was in doubt until now, is taken from it.
    """
    assert connection.in_atomic_block, "money is booked in the commit of the report about it"
    receipt = payment.foreign_receipts.filter(currency=currency).first()
    is_first = receipt is None
    receipt = receipt or ForeignReceipt(payment=payment, currency=currency, received_minor=0)
    receipt.payment, receipt.received_minor = payment, receipt.received_minor + amount_minor
    receipt.save(force_insert=is_first, update_fields=None if is_first else ["received_minor"])
    post_foreign_receipt(receipt, amount_minor, at=at)
    refunds = payment.refunds.filter(status=RefundStatus.SUCCEEDED, currency=currency, converted_minor=None)
    in_doubt = refunds.exclude(source=Refund.Source.VOID).filter(allocation__has_key=RECOVERABLE)
    for refund in in_doubt.order_by("pk"):
        refund.payment = payment
        post_other_amount(refund, amount_minor=refund.amount_minor, currency=currency, at=at)
        follow_success(refund, cause=cause, at=at)
    if payment.disputes.exists():
        book_disputes(payment, at=at)
        for dispute in payment.disputes.filter(currency=currency, converted_minor=None):
            dispute.payment = payment
            update_reviews_of_amount(dispute)
