"""What an order, a licence and an application for a refund may do next."""

from django.db.models import TextChoices

from veza.core.models import Moves


class OrderStatus(TextChoices):
    PENDING = "pending"
    COMPLETED = "completed"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    REFUND_PENDING = "refund_pending"
    REFUNDED = "refunded"


class LicenseStatus(TextChoices):
    ACTIVE = "active"
    SUSPENDED = "suspended"
    REVOKED = "revoked"


class RefundApplicationStatus(TextChoices):
    REQUESTED = "requested"
    GRANTED = "granted"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"


_O = OrderStatus
_PAID_AFTER_ALL = "money arrived after the order had ended"
_PAYS_AGAIN = "the buyer asked for another payment"
ORDER_MOVES: Moves = {
    _O.PENDING: {
        _O.COMPLETED: "it was paid, or it is free",
        _O.FAILED: "its payment was declined",
        _O.EXPIRED: "its payment page closed unpaid",
        _O.CANCELLED: "its payment was cancelled",
    },
    _O.FAILED: {_O.COMPLETED: _PAID_AFTER_ALL, _O.PENDING: _PAYS_AGAIN},
    _O.EXPIRED: {_O.COMPLETED: _PAID_AFTER_ALL, _O.PENDING: _PAYS_AGAIN},
    _O.CANCELLED: {_O.COMPLETED: _PAID_AFTER_ALL},
    _O.COMPLETED: {
        _O.REFUND_PENDING: "a refund was requested",
        _O.REFUNDED: "it was refunded at the provider's dashboard, or lost to a dispute",
    },
    _O.REFUND_PENDING: {
        _O.REFUNDED: "all of it was refunded",
        _O.COMPLETED: "the refund failed, or was of a part",
    },
    _O.REFUNDED: {_O.COMPLETED: "the refund was returned by the bank, or a dispute was won"},
}

_L = LicenseStatus
LICENSE_MOVES: Moves = {
    _L.ACTIVE: {
        _L.SUSPENDED: "the buyer's bank disputes the payment",
        _L.REVOKED: "nothing is left of its item: refunded, or lost to a dispute",
    },
    _L.SUSPENDED: {
        _L.ACTIVE: "the dispute ended for us",
        _L.REVOKED: "nothing is left of its item: lost to the dispute, or refunded",
    },
    _L.REVOKED: {
        _L.ACTIVE: "the refund was returned by the bank, or the dispute was won",
        _L.SUSPENDED: "the refund was returned by the bank while a dispute is open",
    },
}
# The licence belongs to its buyer; an exclusive one cannot be granted to another.
HELD_STATUSES = (_L.ACTIVE, _L.SUSPENDED)
# The order ended before its money arrived, if any did.
ENDED_UNPAID = (_O.FAILED, _O.EXPIRED, _O.CANCELLED)
# The order ended unpaid, and its buyer may still pay it, with another payment.
PAYABLE_AGAIN = (_O.FAILED, _O.EXPIRED)

_A = RefundApplicationStatus
REFUND_APPLICATION_MOVES: Moves = {
    _A.REQUESTED: {
        _A.GRANTED: "support opened the refund",
        _A.DECLINED: "support refused it, and the buyer reads why",
        _A.WITHDRAWN: "the buyer withdrew it, or nothing is left of its items",
    },
}
