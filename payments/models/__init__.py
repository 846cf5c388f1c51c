"""Payments, refunds, disputes, webhook deliveries, and the ledger. Amounts are minor units of `currency`."""

from payments.models.deliveries import InvalidSignatureCount, WebhookDelivery
from payments.models.disputes import DISPUTES_EXIST, Dispute, DisputeQuerySet
from payments.models.foreign_receipts import BOOKED_MINOR, ForeignReceipt
from payments.models.ledger import LedgerAccount, LedgerClosing, OpeningBalance, Posting, StatementEntry, WriteOff
from payments.models.payments import LOCKED_PAYMENT, REST_IN_DOUBT, Payment, PaymentQuerySet
from payments.models.refunds import Refund, RefundQuerySet
from payments.models.saved_methods import MethodDeletion, MethodSetup, RevokedMandate

__all__ = [
    "BOOKED_MINOR",
    "DISPUTES_EXIST",
    "LOCKED_PAYMENT",
    "REST_IN_DOUBT",
    "Dispute",
    "DisputeQuerySet",
    "ForeignReceipt",
    "InvalidSignatureCount",
    "LedgerAccount",
    "LedgerClosing",
    "MethodDeletion",
    "MethodSetup",
    "OpeningBalance",
    "Payment",
    "PaymentQuerySet",
    "Posting",
    "Refund",
    "RefundQuerySet",
    "RevokedMandate",
    "StatementEntry",
    "WebhookDelivery",
    "WriteOff",
]
