"""What a paid order still gets: an exclusive licence is sold once, and nobody is sold the same thing twice.

Money that arrives for what cannot be given any more is booked, left unclaimed, and sent back by itself.
"""

from collections.abc import Sequence

from django.db.models import Q

from marketplace.models import License, LicenseKind, LicenseOffer, Order, OrderItem
from marketplace.states import LicenseStatus, OrderStatus
from payments.models import Payment
from payments.reviews.automatic_refunds import return_unapplied_funds

HELD = (LicenseStatus.ACTIVE, LicenseStatus.SUSPENDED)
GIVEN_UP = (OrderStatus.FAILED, OrderStatus.EXPIRED, OrderStatus.CANCELLED)


def withhold_what_is_gone(order: Order, items: Sequence[OrderItem]) -> list[OrderItem]:
    """Mark the items that cannot be given any more and return them; `order` is locked, as it stood before payment.

    Gone is an exclusive licence that somebody holds, and, for an order that was given up before its money came,
    what the buyer has bought again meanwhile.
    """
    exclusive = [item.offer_id for item in items if item.license == LicenseKind.EXCLUSIVE]
    if exclusive:
        list(LicenseOffer.objects.locked().filter(pk__in=exclusive))  # Whoever completes first holds it.
    taken = Q(exclusive=True)
    if order.status in GIVEN_UP:
        taken |= Q(holder=order.buyer_id)
    elif not exclusive:
        return []
    offers = [item.offer_id for item in items]
    held = License.objects.filter(taken, offer__in=offers, status__in=HELD).exclude(order=order)
    gone = set(held.values_list("offer_id", flat=True))
    withheld = [item for item in items if item.offer_id in gone]
    OrderItem.objects.filter(pk__in=[item.pk for item in withheld]).update(withheld=True)
    for item in withheld:
        item.withheld = True
    return withheld


def send_back_withheld(withheld: Sequence[OrderItem], *, payment: Payment) -> bool:
    """Open the refund of what was paid for and not given, and of what was paid too much. A sweep sends it; nobody has
    to ask. Returns whether there is one."""
    if not any(item.total_minor for item in withheld):
        return False
    titles = ", ".join(item.title for item in withheld)
    return return_unapplied_funds(payment, reason=f"No longer available when the payment arrived: {titles}."[:500])
