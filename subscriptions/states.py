"""What a subscription and an invoice may do next."""

from django.db.models import TextChoices

from veza.core.models import Moves


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


class PriceChangeStatus(TextChoices):
    ANNOUNCED = "announced"
    WITHDRAWN = "withdrawn"
    COMPLETED = "completed"


_S = SubscriptionStatus
SUBSCRIPTION_MOVES: Moves = {
    _S.PENDING_PAYMENT: {
        _S.ACTIVE: "its first invoice was paid",
        _S.EXPIRED: "its first invoice was not paid in time",
        _S.CANCELLED: "the subscriber cancelled before paying",
    },
    _S.TRIALING: {
        _S.ACTIVE: "its first invoice was paid",
        _S.PAST_DUE: "the trial is over and its invoice is not paid",
        _S.EXPIRED: "the trial ended without a way to pay",
        _S.CANCELLED: "the subscriber cancelled, or the trial ended after a cancellation",
    },
    _S.ACTIVE: {
        _S.PAST_DUE: "a renewal is not paid",
        _S.CANCELLED: "it was cancelled now, or at the end of its period",
        _S.EXPIRED: "its paid period was refunded or lost to a dispute, or support ended it unpaid",
    },
    _S.PAST_DUE: {
        _S.ACTIVE: "the renewal was paid within the grace period",
        _S.EXPIRED: "the grace period is over",
        _S.CANCELLED: "the subscriber cancelled",
    },
    _S.CANCELLED: {},
    _S.EXPIRED: {_S.ACTIVE: "money arrived late, or a refund was returned by the bank"},
}
# A subscriber has at most one of these.
LIVE = (_S.PENDING_PAYMENT, _S.TRIALING, _S.ACTIVE, _S.PAST_DUE)
# These are in a period that renews when it ends, unless it is cancelled.
RENEWING = (_S.TRIALING, _S.ACTIVE)
# These give access if they have an effective payment: `access` decides.
ENTITLING = (_S.TRIALING, _S.ACTIVE, _S.PAST_DUE)

_I = InvoiceStatus
INVOICE_MOVES: Moves = {
    _I.PENDING: {
        _I.PAID: "its payment succeeded",
        _I.FAILED: "an attempt to pay it failed",
        _I.VOID: "the subscription ended, or the upgrade was withdrawn, before it was paid",
    },
    _I.FAILED: {
        _I.PAID: "a later attempt succeeded",
        _I.VOID: "the subscription ended, or the upgrade was withdrawn, before it was paid",
    },
    _I.PAID: {_I.REFUNDED: "all of it was refunded, or lost to a dispute"},
    _I.VOID: {},
    _I.REFUNDED: {_I.PAID: "the refund was returned by the bank, or the dispute was won"},
}
# An invoice that a payment may still pay.
PAYABLE = (_I.PENDING, _I.FAILED)

_P = PriceChangeStatus
PRICE_CHANGE_MOVES: Moves = {
    _P.ANNOUNCED: {
        _P.WITHDRAWN: "staff withdrew it before it applied to every subscriber",
        _P.COMPLETED: "every subscriber pays the new price, has another plan, or has left",
    },
    _P.WITHDRAWN: {},
    _P.COMPLETED: {},
}
