"""What is still to be sent to a seller, and what is due again once no restriction keeps it."""

from collections.abc import Mapping
from uuid import UUID

from django.db import connection
from django.db.models import F, Sum
from django.db.models.functions import Now

from connect.models import ConnectedAccount, SellerTransfer, WaitingFor
from connect.states import TRANSFER_UNSENT


def unsent_minor(seller_id: UUID, /) -> Mapping[str, int]:
    """What was never sent to the seller, whatever it waits for: {currency: minor units}."""
    rows = SellerTransfer.objects.filter(seller=seller_id, status__in=TRANSFER_UNSENT, in_doubt_since=None)
    sums = rows.order_by().values("currency").annotate(sum=Sum(F("amount_minor") - F("withheld_minor")))
    return {row["currency"]: row["sum"] for row in sums.order_by("currency")}


def wake_released(seller_id: UUID, /) -> None:
    """Make the seller's waiting transfers due at once, in the caller's transaction. Each is judged again when it is.

    The account is locked first, as when a transfer is claimed: one that is just being told to wait is found too.
    """
    assert connection.in_atomic_block, "transfers are due in the commit that ends the restriction"
    list(ConnectedAccount.objects.locked().filter(seller=seller_id))
    waiting = SellerTransfer.objects.unsent().filter(seller=seller_id).exclude(waiting_for=WaitingFor.NOTHING)
    waiting.filter(pk__in=list(waiting.locked().values_list("pk", flat=True))).update(next_retry_at=Now())
