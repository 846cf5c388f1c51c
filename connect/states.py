"""What a transfer to a seller, one reversal of it, and a payout to a seller's bank may do next."""

from django.db.models import TextChoices

from veza.core.models import Moves


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
TRANSFER_MOVES: Moves = {
    _T.PENDING: {
        _T.COMPLETED: "Stripe has it, or it was offset against a debt in full",
        _T.FAILED: "Stripe refused it for a reason we do not know",
        _T.CANCELLED: "the order was refunded before it was sent",
        _T.PERMANENTLY_FAILED: "its retries are used up: it needs review",
    },
    _T.FAILED: {
        _T.COMPLETED: "a retry under another key reached Stripe",
        _T.CANCELLED: "the order was refunded before it was sent",
        _T.PERMANENTLY_FAILED: "its retries are used up: it needs review",
    },
    _T.COMPLETED: {_T.REVERSAL_PENDING: "a refund, a dispute or a review asks for part of it back"},
    _T.REVERSAL_PENDING: {
        _T.REVERSED: "all of it is back",
        _T.COMPLETED: "what was to be reversed is back, and the rest stays with the seller",
        _T.PERMANENTLY_FAILED: "its retries are used up: it needs review",
    },
    _T.PERMANENTLY_FAILED: {
        _T.FAILED: "support retries the transfer",
        _T.REVERSAL_PENDING: "support retries the reversal",
        _T.CANCELLED: "the order no longer owes it",
        _T.COMPLETED: "reading it at Stripe shows that it was sent, or that nothing is left to reverse",
        _T.REVERSED: "reading it at Stripe shows that all of it is back",
    },
}
# Stripe has not confirmed these: the transfer worker sends them.
TRANSFER_UNSENT = (_T.PENDING, _T.FAILED)

_R = ReversalStatus
REVERSAL_MOVES: Moves = {
    _R.SENDING: {
        _R.MADE: "Stripe has it",
        _R.REFUSED: "Stripe refused it, or it was never made",
    },
}

_P = PayoutStatus
PAYOUT_MOVES: Moves = {
    _P.PENDING: {
        _P.IN_TRANSIT: "Stripe sent it to the bank",
        _P.PAID: "it reached the bank",
        _P.FAILED: "Stripe refused it, or the bank returned it",
        _P.CANCELLED: "it was cancelled at Stripe",
    },
    _P.IN_TRANSIT: {
        _P.PAID: "it reached the bank",
        _P.FAILED: "the bank returned it",
        _P.CANCELLED: "it was cancelled at Stripe",
    },
    _P.PAID: {_P.FAILED: "the bank returned it within days"},
}
# Stripe has not said the last word about these.
PAYOUT_OPEN = (_P.PENDING, _P.IN_TRANSIT)
