"""What an order and a licence may do next."""

from collections.abc import Mapping

from django.db.models import TextChoices


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


_O = OrderStatus
ORDER_MOVES: Mapping[str, frozenset[str]] = {
    _O.PENDING: frozenset({_O.COMPLETED, _O.FAILED, _O.EXPIRED, _O.CANCELLED}),
    # Money may still arrive for an order that was given up.
    _O.FAILED: frozenset({_O.COMPLETED}),
    _O.EXPIRED: frozenset({_O.COMPLETED}),
    _O.CANCELLED: frozenset({_O.COMPLETED}),
    # Straight to refunded: a refund made at the provider's dashboard.
    _O.COMPLETED: frozenset({_O.REFUND_PENDING, _O.REFUNDED}),
    _O.REFUND_PENDING: frozenset({_O.REFUNDED, _O.COMPLETED}),
    _O.REFUNDED: frozenset({_O.COMPLETED}),  # The refund bounced, or a dispute was won.
}

_L = LicenseStatus
LICENSE_MOVES: Mapping[str, frozenset[str]] = {
    _L.ACTIVE: frozenset({_L.SUSPENDED, _L.REVOKED}),
    _L.SUSPENDED: frozenset({_L.ACTIVE, _L.REVOKED}),
    _L.REVOKED: frozenset({_L.ACTIVE, _L.SUSPENDED}),
}
