"""What a subscription and an invoice may do next."""

from collections.abc import Mapping

from django.db.models import TextChoices


class SubscriptionStatus(TextChoices):
    PENDING_PAYMENT = "pending_payment"
    TRIALING = "trialing"
    ACTIVE = "active"
    PAST_DUE = "past_due"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class InvoiceStatus(TextChoices):
    PENDING = "pending"
    PAID = "paid"
    FAILED = "failed"
    VOID = "void"
    REFUNDED = "refunded"


_S = SubscriptionStatus
SUBSCRIPTION_MOVES: Mapping[str, frozenset[str]] = {
    _S.PENDING_PAYMENT: frozenset({_S.ACTIVE, _S.EXPIRED, _S.CANCELLED}),
    _S.TRIALING: frozenset({_S.ACTIVE, _S.PAST_DUE, _S.EXPIRED, _S.CANCELLED}),
    _S.ACTIVE: frozenset({_S.PAST_DUE, _S.CANCELLED, _S.EXPIRED}),
    _S.PAST_DUE: frozenset({_S.ACTIVE, _S.EXPIRED, _S.CANCELLED}),
    _S.CANCELLED: frozenset(),
    _S.EXPIRED: frozenset({_S.ACTIVE}),  # Money may still arrive, or come back when a refund bounces.
}
# A person has at most one of these.
LIVE = (_S.PENDING_PAYMENT, _S.TRIALING, _S.ACTIVE, _S.PAST_DUE)
# These may open doors, if there is an effective payment behind them: `access` decides.
ENTITLING = (_S.TRIALING, _S.ACTIVE, _S.PAST_DUE)

_I = InvoiceStatus
INVOICE_MOVES: Mapping[str, frozenset[str]] = {
    _I.PENDING: frozenset({_I.PAID, _I.FAILED, _I.VOID}),
    _I.FAILED: frozenset({_I.PAID, _I.VOID}),
    _I.PAID: frozenset({_I.REFUNDED}),
    _I.VOID: frozenset(),
    _I.REFUNDED: frozenset({_I.PAID}),  # The refund bounced, or a dispute was won.
}
OWED = (_I.PENDING, _I.FAILED)
