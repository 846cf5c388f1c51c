"""Sellers' accounts at Stripe, the money sent to them, and what is reversed. Amounts are minor units of `currency`."""

from connect.models.accounts import ConnectedAccount, SellerPayout
from connect.models.reversals import SetOff, TransferReversal
from connect.models.transfers import SellerTransfer, SellerTransferQuerySet, WaitingFor

__all__ = [
    "ConnectedAccount",
    "SellerPayout",
    "SellerTransfer",
    "SellerTransferQuerySet",
    "SetOff",
    "TransferReversal",
    "WaitingFor",
]
