"""The receipt of an order, and what is said about one that was not paid."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from django.utils.translation import gettext as _

from marketplace.messages.samples import sample_items, sample_order
from marketplace.messages.unpaid import failure_reason, payment_link
from marketplace.messages.wording import license_name, license_terms
from marketplace.models import Order, OrderItem
from marketplace.states import PAYABLE_AGAIN, OrderStatus
from payments.models import Payment
from veza.core.email.content import Block, Button, Content, Line, Notice, Outdated, Paragraph, Table
from veza.core.email.formats import day, moment, money
from veza.core.email.messages import Audience, Message
from veza.core.email.outbox import write_email

# A buyer whose card was declined may try again on the same page.
TRY_AGAIN_FOR = timedelta(minutes=30)


def write_unpaid_email(order: Order, payment: Payment) -> None:
    """Tell the buyer of an order that ended unpaid, unless they merely left the payment page."""
    has_trouble = bool(payment.error_code or payment.received_minor)
    if order.status != OrderStatus.EXPIRED or has_trouble:
        occasion = f"{order.status} {payment.pk}"  # An order may fail more than once.
        write_email(ORDER_UNPAID, order, to=order.buyer_id, occasion=occasion, after=TRY_AGAIN_FOR)


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
            Table(
                [*(_sold(item, order.currency) for item in items), *_sums(order)],
                [Line(_("Total paid"), money(order.total_minor, order.currency))],
                title=_("Items"),
            ),
            *_withheld([item for item in items if item.withheld]),
            Table(
                [
                    Line(_("Order"), number),
                    Line(_("Paid on"), moment(order.completed_at or order.created_at)),
                    *([Line(_("Buyer"), order.buyer.name)] if order.buyer.name else []),
                    Line(_("E-mail"), order.buyer.email),
                ]
            ),
            Table(
                [Line(item.title, "", license_terms(item)) for item in items if not item.withheld],
                title=_("How to use it"),
            ),
            Paragraph(_("Your licences are active and listed in your account.")),
            *_refundable(order),
        ],
    )


def _sold(item: OrderItem, currency: str) -> Line:
    about = {"license": license_name(item.license), "seller": item.seller.name or _("a seller")}
    return Line(item.title, money(item.net_minor, currency), _("%(license)s, sold by %(seller)s") % about)


def _sums(order: Order) -> list[Line]:
    return [
        Line(_("Price before tax"), money(order.subtotal_minor, order.currency)),
        Line(_("Tax"), money(order.tax_minor, order.currency)),
    ]


def _withheld(items: Sequence[OrderItem]) -> list[Block]:
    if not items:
        return []
    titles = ", ".join(item.title for item in items)
    text = _("No longer available when your payment arrived: %(titles)s. What you paid for it is being refunded.")
    return [Notice(text % {"titles": titles}, "bad")]


def _refundable(order: Order) -> list[Block]:
    if not order.total_minor or order.refund_deadline is None:
        return []
    return [Paragraph(_("You can request a refund until %(day)s.") % {"day": day(order.refund_deadline)})]


def _unpaid(order_id: UUID, occasion: str, /) -> Content | Outdated:
    order = Order.objects.get(pk=order_id)
    if order.completed_at is not None:
        return Outdated("The order was paid after all.")
    status, _space, payment_id = occasion.partition(" ")
    payments = list(Payment.objects.of(Payment.Purpose.ORDER, order_id))
    if order.status != status or (payment_id and str(payments[-1].pk) != payment_id):
        return Outdated(f"The order is {order.status} now, or another payment was tried.")
    return _compose_unpaid(order, list(order.items.order_by("pk")), error_code=payments[-1].error_code)


def _compose_unpaid(order: Order, items: Sequence[OrderItem], *, error_code: str = "") -> Content:
    return Content(
        subject_line=_("Order %(number)s was not paid") % {"number": order.shown_id},
        headline=_("Your order was not paid"),
        amount=money(order.total_minor, order.currency),
        blocks=[
            Notice(failure_reason(order.status, error_code) or "", "bad"),
            Table([Line(item.title, money(item.total_minor, order.currency)) for item in items], title=_("Items")),
            Paragraph(_("You have no licence and owe nothing. Money that reached us is returned to you.")),
            *_way_back(order),
        ],
    )


def _way_back(order: Order) -> list[Block]:
    if order.status not in PAYABLE_AGAIN:
        return [Paragraph(_("If you still want these works, order them again."))]
    return [
        Paragraph(_("If you still want these works, you can pay for them now, while they are on sale.")),
        Button(_("Pay now"), payment_link(order)),
    ]


ORDER_RECEIPT = Message(
    "order_receipt",
    Audience.BUYER,
    "An order was paid, or a free one placed.",
    _receipt,
    lambda: _compose_receipt(sample_order(), sample_items()),
)
ORDER_UNPAID = Message(
    "order_unpaid",
    Audience.BUYER,
    "An order failed, was cancelled, or expired after trouble with its payment; half an hour later.",
    _unpaid,
    lambda: _compose_unpaid(sample_order(OrderStatus.FAILED), sample_items()),
    needs_open_account=True,
)
