"""The e-mails about subscriptions, for their subscribers."""

from collections.abc import Sequence

from subscriptions.messages.disputes import DISPUTES
from subscriptions.messages.periods import INVOICE_RECEIPT, SUBSCRIPTION_ENDED
from subscriptions.messages.prices import PRICE_CHANGE, PRICE_CHANGE_WITHDRAWN
from subscriptions.messages.refunds import REFUND_REQUESTED, REFUNDS
from subscriptions.messages.renewals import CARD_EXPIRES, RENEWAL_ANNOUNCED, RENEWAL_FAILED
from subscriptions.messages.upgrades import UPGRADE_FAILED
from veza.core.email.messages import Message

MESSAGES: Sequence[Message] = (
    INVOICE_RECEIPT,
    RENEWAL_ANNOUNCED,
    RENEWAL_FAILED,
    PRICE_CHANGE,
    PRICE_CHANGE_WITHDRAWN,
    CARD_EXPIRES,
    UPGRADE_FAILED,
    SUBSCRIPTION_ENDED,
    REFUND_REQUESTED,
    *REFUNDS.values(),
    *DISPUTES.values(),
)
