"""What a transfer to a seller, and one reversal of it, may do next."""

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
