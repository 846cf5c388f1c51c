"""The e-mails about orders, for their buyers and sellers."""

from collections.abc import Sequence

from marketplace.messages.disputes import DISPUTES
from marketplace.messages.orders import ORDER_RECEIPT, ORDER_UNPAID
from marketplace.messages.refund_applications import REFUND_APPLICATION_DECLINED, REFUND_APPLICATION_RECEIVED
from marketplace.messages.refunds import REFUND_REQUESTED, REFUNDS
from marketplace.messages.restrictions import EXTENDED, HOLD_ENDED, MONEY_HELD, SELLER_RELEASED, SELLER_SUSPENDED
from marketplace.messages.sales import SALE
from marketplace.messages.works import WORK_BACK_ON_SALE, WORK_TAKEN_OFF_SALE
from veza.core.email.messages import Message

MESSAGES: Sequence[Message] = (
    ORDER_RECEIPT,
    ORDER_UNPAID,
    REFUND_REQUESTED,
    REFUND_APPLICATION_RECEIVED,
    REFUND_APPLICATION_DECLINED,
    *REFUNDS.values(),
    *DISPUTES.values(),
    SALE,
    WORK_TAKEN_OFF_SALE,
    WORK_BACK_ON_SALE,
    SELLER_SUSPENDED,
    SELLER_RELEASED,
    MONEY_HELD,
    HOLD_ENDED,
    EXTENDED,
)
