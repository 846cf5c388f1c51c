"""What Stripe took back is booked, whoever asked for it: our workers, or a person in Stripe's dashboard."""

from datetime import datetime

from connect.models import SellerTransfer, TransferReversal
from connect.postings import post_reversed
from connect.states import ReversalStatus
from connect.stripe.objects import RemoteReversal, RemoteTransfer
from connect.worker.waiting import change
from veza.core.causes import Cause
from veza.core.reviews import open_review
from veza.core.states import move

# The case of a reversal that somebody made in Stripe's dashboard.
EXTERNAL_REVERSAL = "reversal_made_elsewhere"


def adopt(
    transfer: SellerTransfer, snapshot: RemoteTransfer, *, intent: TransferReversal | None, cause: Cause, at: datetime
) -> bool:
    """Book every reversal of a locked transfer that Stripe shows and we have not booked.

    `intent` is the one under way: a reversal that carries its id ends it. False, and nothing booked, when the
    reversals do not add up to what Stripe says it took back.
    """
    booked = set(transfer.reversals.values_list("stripe_reversal_id", flat=True))
    new = [one for one in reversed(snapshot.reversals) if one.reversal_id not in booked]
    if sum(one.amount_minor for one in new) != snapshot.reversed_minor - transfer.reversed_minor:
        return False
    for one in new:
        _adopt_one(transfer, one, intent=intent, cause=cause, at=at)
    change(transfer, key_epoch=transfer.key_epoch + 1)
    return True


def book_reversed(transfer: SellerTransfer, reversal: TransferReversal, *, at: datetime) -> None:
    """Book one reversal of a locked transfer. What it takes beyond the target is adopted: nobody here wanted it."""
    post_reversed(transfer, reversal, at=at)
    back = transfer.reversed_minor + reversal.amount_minor
    beyond = max(0, back - transfer.reversal_target_minor)
    change(
        transfer,
        reversed_minor=back,
        reversal_target_minor=transfer.reversal_target_minor + beyond,
        external_reversed_minor=transfer.external_reversed_minor + beyond,
        stripe_reversal_id=reversal.stripe_reversal_id,
    )


def _adopt_one(
    transfer: SellerTransfer, one: RemoteReversal, *, intent: TransferReversal | None, cause: Cause, at: datetime
) -> None:
    if intent is not None and one.our_id == str(intent.pk):
        assert one.amount_minor == intent.amount_minor, "Stripe reverses what it was asked to"
        move(intent, ReversalStatus.MADE, cause=cause, at=at, stripe_reversal_id=one.reversal_id)
        reversal = intent
    else:
        reversal = transfer.reversals.create(
            correlation_id=transfer.correlation_id,
            from_minor=transfer.reversed_minor,
            to_minor=transfer.reversed_minor + one.amount_minor,
            currency=transfer.currency,
            key=f"{transfer.pk}:found:{one.reversal_id}",
            status=ReversalStatus.MADE,
            stripe_reversal_id=one.reversal_id,
        )
        _made_elsewhere(transfer, one)
    book_reversed(transfer, reversal, at=at)


def _made_elsewhere(transfer: SellerTransfer, one: RemoteReversal) -> None:
    open_review(
        EXTERNAL_REVERSAL,
        transfer,
        why=f"{one.reversal_id} was not made by us: somebody reversed the transfer in Stripe's dashboard.",
        what_to_do="It is booked, and the seller is not paid it again by itself: check with whoever made it. A later "
        "refund of the order counts it as taken back already. If it was a mistake: “Pay it again” on its page.",
        amount_minor=one.amount_minor,
        currency=transfer.currency,
    )
