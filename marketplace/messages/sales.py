"""A sale, for its seller."""

from collections.abc import Sequence
from uuid import UUID

from django.utils.translation import gettext as _

from marketplace.messages.samples import sample_items, sample_order
from marketplace.messages.wording import license_name
from marketplace.models import Order, OrderItem
from veza.core.email.content import Content, Line, Outdated, Paragraph, Table
from veza.core.email.formats import moment, money
from veza.core.email.messages import Audience, Message
from veza.core.email.outbox import draft
from veza.core.models import Email


def drafts_of_sales(order: Order, items: Sequence[OrderItem]) -> list[Email]:
    """For each seller who earns by a completed order what they sold; a withheld item was not sold.

    What is free earns nothing, and costs whoever orders it again and again nothing: no mailbox is filled with it.
    """
    sellers = sorted({item.seller_id for item in items if not item.withheld and item.seller_minor})
    return [draft(SALE, order, to=seller_id, occasion=str(seller_id)) for seller_id in sellers]


def _sale(order_id: UUID, occasion: str, /) -> Content | Outdated:
    order = Order.objects.get(pk=order_id)
    items = list(order.items.filter(seller=UUID(occasion), withheld=False).order_by("pk"))
    return _compose(order, items)


def _compose(order: Order, items: Sequence[OrderItem]) -> Content:
    share_minor = sum(item.seller_minor for item in items)
    titles = ", ".join(item.title for item in items)
    return Content(
        subject_line=_("You sold %(titles)s") % {"titles": titles},
        headline=_("You made a sale"),
        amount=money(share_minor, order.currency),
        blocks=[
            Table(
                [
                    *(
                        Line(row.title, money(row.net_minor, order.currency), license_name(row.license))
                        for row in items
                    ),
                    Line(_("Our fee"), money(-sum(item.fee_minor for item in items), order.currency)),
                ],
                [Line(_("Your share"), money(share_minor, order.currency))],
                title=_("Items"),
            ),
            Table(
                [Line(_("Order"), order.shown_id), Line(_("Sold on"), moment(order.completed_at or order.created_at))]
            ),
            Paragraph(
                _("Your share is transferred to your Stripe account. We will write again when it has been sent.")
            ),
        ],
    )


SALE = Message(
    "sale",
    Audience.SELLER,
    "An order in which this seller earns something was completed.",
    _sale,
    lambda: _compose(sample_order(), sample_items()),
    optional=True,
)
