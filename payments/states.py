"""What a payment and a refund may do next."""

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
