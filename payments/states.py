"""What a payment, a refund and a dispute may do next."""

from django.db.models import TextChoices

from veza.core.models import Moves


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
_PAGE_WORKS = "the buyer tried again on the same payment page"
PAYMENT_MOVES: Moves = {
    _P.CREATED: {
        _P.PENDING: "Hyperswitch acknowledged it and made its page",
        _P.PROCESSING: "its update came before the answer to our request",
        _P.SUCCEEDED: "its update came before the answer to our request",
        _P.FAILED: "Hyperswitch refused it, or its update came first",
        _P.CANCELLED: "Hyperswitch does not know it, or cancelled it",
        _P.MISMATCHED: "the amount or currency received is wrong",
    },
    _P.PENDING: {
        _P.PROCESSING: "the buyer's bank has not answered yet",
        _P.SUCCEEDED: "the money was captured",
        _P.FAILED: "the bank declined",
        _P.CANCELLED: "its page was closed, or it expired",
        _P.MISMATCHED: "the amount or currency received is wrong",
    },
    _P.PROCESSING: {
        _P.SUCCEEDED: "the money was captured",
        _P.FAILED: "the bank declined",
        _P.CANCELLED: "it was cancelled at Hyperswitch",
        _P.MISMATCHED: "the amount or currency received is wrong",
    },
    _P.SUCCEEDED: {_P.MISMATCHED: "Hyperswitch reports a failure or another amount afterwards"},
    _P.FAILED: {
        _P.PROCESSING: _PAGE_WORKS,
        _P.SUCCEEDED: _PAGE_WORKS,
        _P.MISMATCHED: "the amount or currency of a later attempt is wrong",
    },
    _P.CANCELLED: {
        _P.PROCESSING: "the buyer paid before the cancellation",
        _P.SUCCEEDED: "the buyer paid before the cancellation, or a void was undone",
        _P.MISMATCHED: "money was received after all, or came back from a refund or dispute",
    },
    _P.MISMATCHED: {
        _P.SUCCEEDED: "finance accepted the received amount, or the rest was received",
        _P.CANCELLED: "everything received was refunded, voided, or lost to a dispute",
    },
}
# A payment that waits for its buyer: an order or invoice has at most one of these. Hyperswitch may still report money
# on a closed one: it is booked, even while a newer one waits.
PAYMENT_OPEN = (_P.CREATED, _P.PENDING)

_R = RefundStatus
REFUND_MOVES: Moves = {
    _R.PENDING: {
        _R.SUCCEEDED: "the money went back to the buyer",
        _R.FAILED: "Hyperswitch refused it, does not know it, or reports a failure; or its money was gone",
    },
    # Updates may arrive in any order: a newer success is booked, an older one was undone before it arrived.
    _R.FAILED: {
        _R.SUCCEEDED: "a newer update reports that it succeeded after all",
        _R.BOUNCED: "an older update reports that it had succeeded before it failed",
    },
    _R.SUCCEEDED: {_R.BOUNCED: "the buyer's bank returned it, sometimes days later"},
    _R.BOUNCED: {_R.SUCCEEDED: "a newer update reports that it succeeded after all"},
}

_D = DisputeStatus
DISPUTE_ENDS = (_D.ACCEPTED, _D.EXPIRED, _D.CANCELLED, _D.WON, _D.LOST)
# The bank keeps the money.
DISPUTE_LOST = (_D.LOST, _D.ACCEPTED, _D.EXPIRED)
DISPUTE_UNDER_WAY = (_D.OPENED, _D.CHALLENGED)
_WHY_DISPUTE_BECOMES = {
    _D.OPENED: "the bank asks for the money, or asks for it again",
    _D.CHALLENGED: "evidence was submitted",
    _D.ACCEPTED: "the claim was accepted",
    _D.EXPIRED: "the deadline for evidence passed",
    _D.CANCELLED: "the bank withdrew its claim",
    _D.WON: "the bank decided in our favour",
    _D.LOST: "the bank decided in the buyer's favour",
}
# A bank may change its decision at any time, so every edge exists. Only the answer to a refresh moves a dispute away
# from an end (payments/disputes/dispute_updates.py): disputes have no usable clock, and a late webhook must not undo
# an end.
DISPUTE_MOVES: Moves = {
    status: {end: why for end, why in _WHY_DISPUTE_BECOMES.items() if end != status} for status in _D
}
