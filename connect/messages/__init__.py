"""The e-mails about sellers' money and accounts, for the sellers."""

from collections.abc import Sequence

from connect.messages.accounts import ACCOUNT_IN_ORDER, ACCOUNT_NEEDS_ATTENTION, BANK_CHANGED
from connect.messages.payouts import PAYOUT_FAILED, PAYOUT_SENT
from connect.messages.transfers import DEBT, REDUCED, REVERSAL, TRANSFER_SENT, WITHHELD
from veza.core.email.messages import Message

MESSAGES: Sequence[Message] = (
    TRANSFER_SENT,
    WITHHELD,
    REDUCED,
    REVERSAL,
    DEBT,
    ACCOUNT_NEEDS_ATTENTION,
    ACCOUNT_IN_ORDER,
    BANK_CHANGED,
    PAYOUT_SENT,
    PAYOUT_FAILED,
)
