"""A work that staff took off sale, and one that they put back."""

from uuid import UUID

from django.utils import timezone
from django.utils.translation import gettext as _

from marketplace.messages.restrictions import contest
from marketplace.models import Product
from veza.core.email.content import Content, Line, Notice, Outdated, Paragraph, Table
from veza.core.email.formats import day
from veza.core.email.messages import Audience, Message


def _off_sale(product_id: UUID, occasion: str, /) -> Content | Outdated:
    product = Product.objects.get(pk=product_id)
    if product.taken_off_sale_at is None or product.taken_off_sale_at.isoformat() != occasion:
        return Outdated("The work was put back on sale since.")
    return _compose_off_sale(product)


def _compose_off_sale(product: Product) -> Content:
    about = {"title": product.title}
    return Content(
        subject_line=_("%(title)s was taken off sale") % about,
        headline=_("We took a work of yours off sale"),
        blocks=[
            Notice(_("%(title)s is not sold any more. Licences already sold stay with their buyers.") % about, "bad"),
            Paragraph(_("The reason: %(reason)s") % {"reason": product.taken_off_sale_reason}),
            Table([Line(_("Since"), day(product.taken_off_sale_at or timezone.now()))]),
            Paragraph(_("Your other works are not affected.")),
            contest(),
        ],
    )


def _back_on_sale(product_id: UUID, _occasion: str, /) -> Content | Outdated:
    product = Product.objects.get(pk=product_id)
    if product.taken_off_sale_at is not None:
        return Outdated("The work was taken off sale again since.")
    return _compose_back_on_sale(product)


def _compose_back_on_sale(product: Product) -> Content:
    about = {"title": product.title}
    published = _("You have it published: buyers can buy it now.")
    return Content(
        subject_line=_("%(title)s may be sold again") % about,
        headline=_("Your work may be sold again"),
        blocks=[
            Notice(_("%(title)s is not kept off sale by us any more.") % about, "good"),
            Paragraph(published if product.published else _("You do not have it published at the moment.")),
        ],
    )


def _sample() -> Product:
    reason = "A rights holder reports that it shows their photograph."
    return Product(title="Harbour at Dawn", taken_off_sale_at=timezone.now(), taken_off_sale_reason=reason)


WORK_TAKEN_OFF_SALE = Message(
    "work_taken_off_sale",
    Audience.SELLER,
    "Staff took a work off sale.",
    _off_sale,
    lambda: _compose_off_sale(_sample()),
)
WORK_BACK_ON_SALE = Message(
    "work_back_on_sale",
    Audience.SELLER,
    "Staff put a work back on sale.",
    _back_on_sale,
    lambda: _compose_back_on_sale(_sample()),
)
