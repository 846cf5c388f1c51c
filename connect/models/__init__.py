"""Sellers' accounts at Stripe, the money sent to them, and what is reversed. Amounts are minor units of `currency`."""

from connect.models.accounts import ConnectedAccount, PayoutTerms, SellerPayout
from connect.models.reversals import SetOff, TransferReversal
from connect.models.transfers import LOCKED_TRANSFER, SellerTransfer, SellerTransferQuerySet, WaitingFor

__all__ = [
    "LOCKED_TRANSFER",
    "ConnectedAccount",
    "PayoutTerms",
    "SellerPayout",
    "SellerTransfer",
    "SellerTransferQuerySet",
    "SetOff",
    "TransferReversal",
    "WaitingFor",
]
