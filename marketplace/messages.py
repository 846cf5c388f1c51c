"""The e-mails about orders: what each says, and the moment that writes it."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from uuid import UUID

from django.utils import timezone
from django.utils.translation import gettext as _

from marketplace.models import LicenseKind, Order, OrderItem, RefundLine
from payments import messages as refunds
from payments.messages import RefundSubject
from payments.models import Refund
from payments.states import RefundStatus
from veza.core.email.content import Block, Content, Line, Notice, Outdated, Paragraph, Table
from veza.core.email.formats import day, moment, money
from veza.core.email.messages import Audience, Message
from veza.core.email.outbox import write_email
from veza.core.models import User


def write_refund_email(refund: Refund, order: Order, *, occasion: str) -> None:
    """Tell the buyer what became of a refund. `occasion` is the time of its move: a bank may change its mind twice."""
    message = {
        RefundStatus.SUCCEEDED.value: REFUND_SENT,
        RefundStatus.FAILED.value: REFUND_FAILED,
        RefundStatus.BOUNCED.value: REFUND_RETURNED,
    }[refund.status]
    write_email(message, refund, to=order.buyer_id, occasion=occasion)


def _receipt(order_id: UUID, _occasion: str, /) -> Content | Outdated:
    order = Order.objects.select_related("buyer").get(pk=order_id)
    if order.completed_at is None:
        return Outdated("The order is not completed.")
    return _compose_receipt(order, list(order.items.select_related("seller").order_by("pk")))


def _compose_receipt(order: Order, items: Sequence[OrderItem]) -> Content:
    number = order.shown_id
    return Content(
        subject_line=_("Your receipt for order %(number)s") % {"number": number},
        headline=_("Thank you for your purchase"),
        amount=money(order.total_minor, order.currency),
        blocks=[
            Table([_sold(item, order.currency) for item in items], _sums(order), title=_("Items")),
            *_withheld([item for item in items if item.withheld]),
            Table(
                [
                    Line(_("Order"), number),
                    Line(_("Paid on"), moment(order.completed_at or order.created_at)),
                    Line(_("Buyer"), order.buyer.get_full_name(), order.buyer.email if order.buyer.name else ""),
                ]
            ),
            Table([_terms(item) for item in items if not item.withheld], title=_("How to use it")),
            Paragraph(_("Your licences are active and listed in your account.")),
            *_refundable(order),
        ],
    )


def _sold(item: OrderItem, currency: str) -> Line:
    detail = _("%(license)s, sold by %(seller)s") % {
        "license": _license_names()[item.license],
        "seller": item.seller.get_full_name() if item.seller.name else _("a seller"),
    }
    return Line(item.title, money(item.net_minor, currency), detail)


def _sums(order: Order) -> list[Line]:
    return [
        Line(_("Price before tax"), money(order.subtotal_minor, order.currency)),
        Line(_("Tax"), money(order.tax_minor, order.currency)),
        Line(_("Total paid"), money(order.total_minor, order.currency)),
    ]


def _withheld(items: Sequence[OrderItem]) -> list[Block]:
    if not items:
        return []
    titles = ", ".join(item.title for item in items)
    text = _("No longer available when your payment arrived: %(titles)s. What you paid for it is being refunded.")
    return [Notice(text % {"titles": titles}, "bad")]


def _terms(item: OrderItem) -> Line:
    return Line(item.title, "", _license_terms()[item.license] + _rights(item.rights))


def _rights(rights: object) -> str:
    """The seller's own terms, as they were sold."""
    if not isinstance(rights, dict):
        return ""
    return "".join(f" {str(name).replace('_', ' ').capitalize()}: {value}." for name, value in rights.items())


def _refundable(order: Order) -> list[Block]:
    if not order.total_minor or order.refund_deadline is None:
        return []
    return [Paragraph(_("You can request a refund until %(day)s.") % {"day": day(order.refund_deadline)})]


def _license_names() -> dict[str, str]:
    return {
        LicenseKind.PERSONAL: _("Personal licence"),
        LicenseKind.COMMERCIAL: _("Commercial licence"),
        LicenseKind.EXCLUSIVE: _("Exclusive licence"),
    }


def _license_terms() -> dict[str, str]:
    return {
        LicenseKind.PERSONAL: _("You may use it for yourself, and not in what you sell or are paid for."),
        LicenseKind.COMMERCIAL: _("You may also use it in what you sell or are paid for."),
        LicenseKind.EXCLUSIVE: _("You alone may use it, also commercially: it is not sold to any other buyer."),
    }


def _about_refund(
    compose: Callable[[Refund, RefundSubject], Content | Outdated],
) -> Callable[[UUID, str], Content | Outdated]:
    def compose_for_order(refund_id: UUID, _occasion: str, /) -> Content | Outdated:
        refund = Refund.objects.select_related("payment").get(pk=refund_id)
        order = Order.objects.get(pk=refund.payment.purpose_id)
        lines = RefundLine.objects.filter(refund=refund).select_related("item").order_by("item")
        items = [Line(line.item.title, money(line.total_minor, order.currency)) for line in lines]
        return compose(refund, _order_of_refund(order, items))

    return compose_for_order


def _order_of_refund(order: Order, items: Sequence[Line]) -> RefundSubject:
    return RefundSubject(_("order %(number)s") % {"number": order.shown_id}, items)


def _refund_sample(
    compose: Callable[[Refund, RefundSubject], Content | Outdated], status: RefundStatus, **fields: str
) -> Callable[[], Content]:
    def sample() -> Content:
        at = timezone.now()
        refund = Refund(status=status, amount_minor=60_00, currency="EUR", source=Refund.Source.BUYER, **fields)
        refund.created_at, refund.succeeded_at = at, at
        content = compose(refund, _order_of_refund(_sample_order(), [Line("Ink Study No. 4", money(60_00, "EUR"))]))
        assert isinstance(content, Content), "a sample is of the status that its message is about"
        return content

    return sample


def _sample_order() -> Order:
    at = timezone.now()
    order = Order(subtotal_minor=1_250_00, tax_minor=250_00, total_minor=1_500_00, currency="EUR")
    order.buyer = User(name="Ada Example", email="ada@example.com")
    order.completed_at, order.refund_deadline, order.created_at = at, at + timedelta(days=14), at
    return order


def _sample_items() -> list[OrderItem]:
    seller = User(name="Studio Example", email="studio@example.com")
    pieces = (("Ink Study No. 4", LicenseKind.PERSONAL, 50_00), ("Harbour at Dawn", LicenseKind.EXCLUSIVE, 1_200_00))
    return [
        OrderItem(seller=seller, title=title, license=kind, net_minor=net, tax_minor=net // 5, rights={"copies": 1})
        for title, kind, net in pieces
    ]


ORDER_RECEIPT = Message(
    "order_receipt",
    Audience.BUYER,
    "An order was paid, or a free one placed.",
    _receipt,
    lambda: _compose_receipt(_sample_order(), _sample_items()),
)
REFUND_SENT = Message(
    "order_refund_sent",
    Audience.BUYER,
    "A refund of an order succeeded.",
    _about_refund(refunds.refund_sent),
    _refund_sample(refunds.refund_sent, RefundStatus.SUCCEEDED),
)
REFUND_FAILED = Message(
    "order_refund_failed",
    Audience.BUYER,
    "A refund of an order failed.",
    _about_refund(refunds.refund_failed),
    _refund_sample(refunds.refund_failed, RefundStatus.FAILED, error_message="The card was closed by its issuer."),
)
REFUND_RETURNED = Message(
    "order_refund_returned",
    Audience.BUYER,
    "The buyer's bank returned a refund of an order.",
    _about_refund(refunds.refund_returned),
    _refund_sample(refunds.refund_returned, RefundStatus.BOUNCED),
)
REFUND_REQUESTED = Message(
    "order_refund_requested",
    Audience.BUYER,
    "A refund of an order was requested: the acknowledgement that a withdrawal needs.",
    _about_refund(refunds.refund_requested),
    _refund_sample(refunds.refund_requested, RefundStatus.PENDING),
)
MESSAGES = (ORDER_RECEIPT, REFUND_REQUESTED, REFUND_SENT, REFUND_FAILED, REFUND_RETURNED)
