"""What ends in the marketplace when an account is closed: the cart, and payment pages of unpaid orders.

Licences already sold stay with their holders, and orders can still be refunded by their sellers and by staff.
"""

from uuid import UUID

from django.db import connection

from marketplace.models import CartItem
from payments.collection.expiry import close_order_pages_of


def end_purchases(buyer_id: UUID, /) -> None:
    """Empty the cart and make the payment pages of the buyer's orders due for closing by the worker.

    In the caller's transaction, which has locked the account. An order that is paid meanwhile is not delivered: its
    money is returned.
    """
    assert connection.in_atomic_block, "purchases end in the commit that closes the account"
    CartItem.objects.filter(owner=buyer_id).delete()
    close_order_pages_of(buyer_id)
