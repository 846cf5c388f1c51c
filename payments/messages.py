"""What e-mails say about a refund, whatever was bought: the floors above add which order or invoice it is of."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _

from payments.models import Refund
from payments.states import RefundStatus
from veza.core.email.content import Block, Content, Line, Notice, Outdated, Paragraph, Table
from veza.core.email.formats import moment, money
from veza.core.words import format_status


@dataclass(frozen=True)
class RefundSubject:
    """What the refund is of: a noun phrase in the reader's language, and the part of each item in it."""

    name: str
    items: Sequence[Line] = ()


def refund_requested(refund: Refund, of: RefundSubject) -> Content | Outdated:
    """The acknowledgement of a request, with its time. It stays true whatever becomes of the refund."""
    amount = money(refund.amount_minor, refund.currency)
    if refund.source == Refund.Source.LATE_PAYMENT:
        intro = _("You paid for something that is not available any more. We are returning %(amount)s to you.")
    else:
        intro = _("We received the request to refund %(amount)s and have passed it on to our payment provider.")
    return Content(
        subject_line=_("Refund requested: %(of)s") % {"of": of.name},
        headline=_("Your refund has been requested"),
        amount=amount,
        blocks=[
            Paragraph(intro % {"amount": amount}),
            *_items(of),
            Table(
                [
                    Line(_("Requested on"), moment(refund.created_at)),
                    *_requested_by(refund),
                    Line(_("For"), of.name),
                    Line(_("Refund"), refund.shown_id),
                ]
            ),
            Paragraph(
                _(
                    "The money goes to the payment method that you paid with. We write again when it has been sent. "
                    "Keep this e-mail: it confirms when we received the request."
                )
            ),
        ],
    )


def refund_sent(refund: Refund, of: RefundSubject) -> Content | Outdated:
    """The refund has left our provider."""
    if refund.status != RefundStatus.SUCCEEDED:
        return _outdated(refund)
    return Content(
        subject_line=_("Refund sent: %(of)s") % {"of": of.name},
        headline=_("Your refund has been sent"),
        amount=money(refund.amount_minor, refund.currency),
        blocks=[
            Notice(
                _("The money is on its way to the payment method that you paid with. Banks take up to ten days."),
                "good",
            ),
            *_items(of),
            Table(
                [
                    *([Line(_("Sent on"), moment(refund.succeeded_at))] if refund.succeeded_at else []),
                    Line(_("For"), of.name),
                    Line(_("Refund"), refund.shown_id),
                ]
            ),
        ],
    )


def refund_failed(refund: Refund, of: RefundSubject) -> Content | Outdated:
    """The refund was not made. The reason is the provider's own."""
    if refund.status != RefundStatus.FAILED:
        return _outdated(refund)
    reason = refund.error_message or refund.error_code.replace("_", " ")
    return Content(
        subject_line=_("Refund not possible: %(of)s") % {"of": of.name},
        headline=_("Your refund could not be made"),
        amount=money(refund.amount_minor, refund.currency),
        blocks=[
            Notice(_("No money was returned, and what you bought stays yours for now."), "bad"),
            *_items(of),
            Table(
                [
                    *([Line(_("Reason given by the payment provider"), reason)] if reason else []),
                    Line(_("For"), of.name),
                    Line(_("Refund"), refund.shown_id),
                ]
            ),
            Paragraph(_("You can request it again. If that fails too, contact our support with the number above.")),
        ],
    )


def refund_returned(refund: Refund, of: RefundSubject) -> Content | Outdated:
    """The buyer's bank sent the money back to us: support pays in another way."""
    if refund.status != RefundStatus.BOUNCED:
        return _outdated(refund)
    return Content(
        subject_line=_("Refund returned by your bank: %(of)s") % {"of": of.name},
        headline=_("Your bank returned our refund"),
        amount=money(refund.amount_minor, refund.currency),
        blocks=[
            Notice(
                _("We had sent you this amount, and your bank returned it, for example because an account is closed."),
                "bad",
            ),
            *_items(of),
            Table([Line(_("For"), of.name), Line(_("Refund"), refund.shown_id)]),
            Paragraph(_("The money is still yours. Our support will ask you how to pay it.")),
        ],
    )


def _outdated(refund: Refund) -> Outdated:
    return Outdated(f"The refund is {format_status(refund.status)} now.")


def _items(of: RefundSubject) -> list[Block]:
    return [Table(of.items, title=_("Items"))] if of.items else []


def _requested_by(refund: Refund) -> list[Line]:
    names = {
        Refund.Source.BUYER.value: _("you"),
        Refund.Source.SELLER.value: _("the seller"),
        Refund.Source.SUPPORT.value: _("our support"),
    }
    return [Line(_("Requested by"), names[refund.source])] if refund.source in names else []
