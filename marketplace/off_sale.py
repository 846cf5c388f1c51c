"""A work that staff take off sale, and put back. Whether its seller has it published stays the seller's own choice."""

from datetime import datetime
from uuid import UUID

from django.db import transaction

from marketplace.messages.works import WORK_BACK_ON_SALE, WORK_TAKEN_OFF_SALE
from marketplace.models import Product
from veza.core.accounts import refuse_own
from veza.core.causes import Cause
from veza.core.email.outbox import write_email
from veza.core.errors import NotAllowed


class AlreadyOffSale(NotAllowed):
    code = "already_off_sale"
    http_status = 409


class NotOffSale(NotAllowed):
    code = "not_off_sale"
    http_status = 409


@transaction.atomic
def take_off_sale(*, product_id: UUID, cause: Cause, at: datetime) -> Product:
    """Stop the sale of a work under every licence; licences already sold stay. The seller reads the cause's reason.

    Raises OwnAccount, AlreadyOffSale.
    """
    product = _product_of_another(product_id, cause=cause)
    on_sale = Product.objects.filter(pk=product_id, taken_off_sale_at__isnull=True)
    if not on_sale.update(taken_off_sale_at=at, taken_off_sale_reason=cause.reason):
        raise AlreadyOffSale(f"{product.title!r} is off sale already.")
    write_email(WORK_TAKEN_OFF_SALE, product, to=product.seller_id, occasion=at.isoformat())
    product.refresh_from_db()
    return product


@transaction.atomic
def put_back_on_sale(*, product_id: UUID, cause: Cause, at: datetime) -> Product:
    """Let a work be sold again, if its seller has it published. Raises OwnAccount, NotOffSale."""
    product = _product_of_another(product_id, cause=cause)
    off_sale = Product.objects.filter(pk=product_id, taken_off_sale_at__isnull=False)
    if not off_sale.update(taken_off_sale_at=None, taken_off_sale_reason=""):
        raise NotOffSale(f"{product.title!r} was not taken off sale by staff.")
    write_email(WORK_BACK_ON_SALE, product, to=product.seller_id, occasion=at.isoformat())
    product.refresh_from_db()
    return product


def _product_of_another(product_id: UUID, *, cause: Cause) -> Product:
    product = Product.objects.get(pk=product_id)
    refuse_own(product.seller_id, cause)
    return product
