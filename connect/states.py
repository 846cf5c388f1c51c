"""What a transfer to a seller, one reversal of it, and a payout to a seller's bank may do next."""

from collections.abc import Mapping

from django.db.models import TextChoices


class TransferStatus(TextChoices):
    PENDING = "pending"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REVERSAL_PENDING = "reversal_pending"
    REVERSED = "reversed"
    PERMANENTLY_FAILED = "permanently_failed"


class ReversalStatus(TextChoices):
    SENDING = "sending"
    MADE = "made"
    REFUSED = "refused"


class PayoutStatus(TextChoices):
    PENDING = "pending"
    IN_TRANSIT = "in_transit"
    PAID = "paid"
    FAILED = "failed"
    CANCELLED = "cancelled"


_T = TransferStatus
TRANSFER_MOVES: Mapping[str, frozenset[str]] = {
    _T.PENDING: frozenset({_T.COMPLETED, _T.FAILED, _T.CANCELLED, _T.PERMANENTLY_FAILED}),
    # Stripe said no for a reason we do not know: it is tried again under another key.
    _T.FAILED: frozenset({_T.COMPLETED, _T.CANCELLED, _T.PERMANENTLY_FAILED}),
    _T.COMPLETED: frozenset({_T.REVERSAL_PENDING}),
    # Back to completed: what was to be taken back is, and the rest stays with the seller.
    _T.REVERSAL_PENDING: frozenset({_T.REVERSED, _T.COMPLETED, _T.PERMANENTLY_FAILED}),
    # The workers gave it up. A person tries again, or a look at Stripe shows what became of it.
    _T.PERMANENTLY_FAILED: frozenset({_T.FAILED, _T.REVERSAL_PENDING, _T.CANCELLED, _T.COMPLETED, _T.REVERSED}),
}
# Stripe has not confirmed these: the transfer worker sends them.
TRANSFER_UNSENT = (_T.PENDING, _T.FAILED)

_R = ReversalStatus
REVERSAL_MOVES: Mapping[str, frozenset[str]] = {
    _R.SENDING: frozenset({_R.MADE, _R.REFUSED}),
}

_P = PayoutStatus
PAYOUT_MOVES: Mapping[str, frozenset[str]] = {
    _P.PENDING: frozenset({_P.IN_TRANSIT, _P.PAID, _P.FAILED, _P.CANCELLED}),
    _P.IN_TRANSIT: frozenset({_P.PAID, _P.FAILED, _P.CANCELLED}),
    # A bank may send it back within days.
    _P.PAID: frozenset({_P.FAILED}),
}
# Stripe has not said the last word about these.
PAYOUT_OPEN = (_P.PENDING, _P.IN_TRANSIT)
