"""What a payment, a refund and a dispute may do next."""

from collections.abc import Mapping

from django.db.models import TextChoices


class PaymentStatus(TextChoices):
    CREATED = "created"
    PENDING = "pending"
    PROCESSING = "processing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    MISMATCHED = "mismatched"


class RefundStatus(TextChoices):
    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    BOUNCED = "bounced"


class DisputeStatus(TextChoices):
    OPENED = "opened"
    CHALLENGED = "challenged"
    ACCEPTED = "accepted"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    WON = "won"
    LOST = "lost"


_P = PaymentStatus
PAYMENT_MOVES: Mapping[str, frozenset[str]] = {
    _P.CREATED: frozenset({_P.PENDING, _P.PROCESSING, _P.SUCCEEDED, _P.FAILED, _P.CANCELLED, _P.MISMATCHED}),
    _P.PENDING: frozenset({_P.PROCESSING, _P.SUCCEEDED, _P.FAILED, _P.CANCELLED, _P.MISMATCHED}),
    _P.PROCESSING: frozenset({_P.SUCCEEDED, _P.FAILED, _P.CANCELLED, _P.MISMATCHED}),
    _P.SUCCEEDED: frozenset({_P.MISMATCHED}),
    # A buyer may try again on the same payment page, and a cancel may lose against a payment under way.
    _P.FAILED: frozenset({_P.PROCESSING, _P.SUCCEEDED, _P.MISMATCHED}),
    _P.CANCELLED: frozenset({_P.PROCESSING, _P.SUCCEEDED, _P.MISMATCHED}),
    _P.MISMATCHED: frozenset({_P.SUCCEEDED, _P.CANCELLED}),
}
# A payment that waits to be paid: an order or invoice has at most one of these. It says nothing of what the provider
# may report later: money that arrives on a payment thought dead is booked, even while a newer one waits.
PAYMENT_OPEN = (_P.CREATED, _P.PENDING)

_R = RefundStatus
REFUND_MOVES: Mapping[str, frozenset[str]] = {
    _R.PENDING: frozenset({_R.SUCCEEDED, _R.FAILED}),
    # Facts may arrive in any order: a newer success is booked, an older one was undone before we heard of it.
    _R.FAILED: frozenset({_R.SUCCEEDED, _R.BOUNCED}),
    _R.SUCCEEDED: frozenset({_R.BOUNCED}),  # A bank may send it back days later.
    _R.BOUNCED: frozenset({_R.SUCCEEDED}),
}

_D = DisputeStatus
DISPUTE_ENDS = (_D.ACCEPTED, _D.EXPIRED, _D.CANCELLED, _D.WON, _D.LOST)
# The bank has the money for good.
DISPUTE_LOST = (_D.LOST, _D.ACCEPTED, _D.EXPIRED)
DISPUTE_UNDER_WAY = (_D.OPENED, _D.CHALLENGED)
# A bank may change its mind at any time, so every edge exists. An end is left only on the provider's own answer to a
# question of ours (payments/disputes/dispute_updates.py): disputes have no usable clock, and a late delivery must not
# undo an end.
DISPUTE_MOVES: Mapping[str, frozenset[str]] = {status: frozenset(set(_D) - {status}) for status in _D}
