"""Payments, refunds, disputes, webhook deliveries, and the ledger. Amounts are minor units of `currency`."""

from payments.models.deliveries import InvalidSignatureCount, WebhookDelivery
from payments.models.ledger import LedgerAccount, LedgerClosing, OpeningBalance, Posting, StatementEntry, WriteOff
from payments.models.payments import (
    BOOKED_MINOR,
    DISPUTES_EXIST,
    LOCKED_PAYMENT,
    REST_IN_DOUBT,
    Dispute,
    DisputeQuerySet,
    ForeignReceipt,
    Payment,
    PaymentQuerySet,
    Refund,
    RefundQuerySet,
    RevokedMandate,
)

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
