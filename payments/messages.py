"""What e-mails say about refunds and disputes, whatever was bought: the floors above add the order or invoice."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from django.utils import timezone
from django.utils.translation import gettext as _

from payments.models import Dispute, Refund
from payments.states import DISPUTE_LOST, DISPUTE_UNDER_WAY, DisputeStatus, RefundStatus
from veza.core.email.content import Block, Content, Line, Notice, Outdated, Paragraph, Table
from veza.core.email.formats import moment, money
from veza.core.words import format_status


@dataclass(frozen=True)
class PaidFor:
    """What was paid for: a noun phrase in the reader's language, and the part of each item in a refund.

    `is_granted` if support granted the refund, which the buyer had requested and was told so.
    """

    name: str
    items: Sequence[Line] = ()
    is_granted: bool = False


def refund_requested(refund: Refund, of: PaidFor) -> Content | Outdated:
    """The acknowledgement of a request, with its time. It stays true whatever becomes of the refund."""
    if of.is_granted:
        return _refund_granted(refund, of)
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
            Paragraph(_where_it_goes()),
            Paragraph(_("Keep this e-mail: it confirms when we received the request.")),
        ],
    )


def _refund_granted(refund: Refund, of: PaidFor) -> Content:
    amount = money(refund.amount_minor, refund.currency)
    return Content(
        subject_line=_("Refund granted: %(of)s") % {"of": of.name},
        headline=_("Your refund request was granted"),
        amount=amount,
        blocks=[
            Notice(_("We have passed the refund on to our payment provider."), "good"),
            *_items(of),
            Table(
                [
                    Line(_("Granted on"), moment(refund.created_at)),
                    Line(_("For"), of.name),
                    Line(_("Refund"), refund.shown_id),
                ]
            ),
            Paragraph(_where_it_goes()),
        ],
    )


def _where_it_goes() -> str:
    return _("The money goes to the payment method that you paid with. We will write again when it has been sent.")


def refund_sent(refund: Refund, of: PaidFor) -> Content | Outdated:
    """The refund has left our provider."""
    if refund.status != RefundStatus.SUCCEEDED:
        return _outdated(refund)
    return Content(
        subject_line=_("Refund sent: %(of)s") % {"of": of.name},
        headline=_("Your refund has been sent"),
        amount=money(refund.amount_minor, refund.currency),
        blocks=[
            Notice(
                _("We have sent you the money by bank transfer.")
                if refund.source == Refund.Source.BANK
                else _("The money is on its way to the payment method that you paid with. Banks take up to ten days."),
                "good",
            ),
            *_items(of),
            Table(
                [
                    *([Line(_("Sent on"), moment(refund.succeeded_at))] if refund.succeeded_at else []),
                    *([Line(_("Reference"), refund.bank_reference)] if refund.bank_reference else []),
                    Line(_("For"), of.name),
                    Line(_("Refund"), refund.shown_id),
                ]
            ),
        ],
    )


def refund_failed(refund: Refund, of: PaidFor) -> Content | Outdated:
    """The refund was not made."""
    if refund.status != RefundStatus.FAILED:
        return _outdated(refund)
    return Content(
        subject_line=_("Refund not possible: %(of)s") % {"of": of.name},
        headline=_("Your refund could not be made"),
        amount=money(refund.amount_minor, refund.currency),
        blocks=[
            Notice(_("No money was returned, and what you bought stays yours for now."), "bad"),
            *_items(of),
            Table(
                [
                    Line(_("Reason"), failure_in_words(refund)),
                    Line(_("For"), of.name),
                    Line(_("Refund"), refund.shown_id),
                ]
            ),
            Paragraph(_("You can request it again. If that fails too, contact our support with the number above.")),
        ],
    )


def failure_in_words(refund: Refund) -> str:
    """Why a refund failed, as buyers and sellers may read it: nothing of what the provider wrote."""
    match refund.error_code:
        case "never_arrived":
            return _("It did not reach our payment provider.")
        case "refund_exceeds_payment":
            return _("Its money was not there any more: it was disputed, or had gone back another way.")
        case "ended_by_staff":
            return _("Our payment provider could not say what became of it, so we ended it.")
    return _("Our payment provider or the bank refused it.")


def refund_returned(refund: Refund, of: PaidFor) -> Content | Outdated:
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
            Paragraph(_("The money is still yours. Our support will ask you how you want to receive it.")),
        ],
    )


ComposeRefund = Callable[[Refund, PaidFor], Content | Outdated]
# Of the refunds that have an outcome; "requested" comes before all of them.
REFUND_TEXTS: Mapping[str, ComposeRefund] = {
    RefundStatus.SUCCEEDED: refund_sent,
    RefundStatus.FAILED: refund_failed,
    RefundStatus.BOUNCED: refund_returned,
}


def _outdated(refund: Refund) -> Outdated:
    status = "returned by the bank" if refund.status == RefundStatus.BOUNCED else format_status(refund.status)
    return Outdated(f"The refund is {status} now.")


def _items(of: PaidFor) -> list[Block]:
    return [Table(of.items, title=_("Items"))] if of.items else []


def _requested_by(refund: Refund) -> list[Line]:
    names = {
        Refund.Source.BUYER.value: _("You"),
        Refund.Source.SELLER.value: _("The seller"),
        Refund.Source.SUPPORT.value: _("Our support"),
    }
    return [Line(_("Requested by"), names[refund.source])] if refund.source in names else []


# --- Disputes ---

# The turns that a dispute takes for its buyer.
OPENED, LOST, WON = "opened", "lost", "won"


def dispute_turn(dispute: Dispute) -> str:
    """Whether the bank is still deciding, has returned the money to the buyer, or lets the payment stand."""
    if dispute.status in DISPUTE_UNDER_WAY:
        return OPENED
    return LOST if dispute.status in DISPUTE_LOST else WON


def dispute_occasion(dispute: Dispute) -> str:
    """Each stage of a dispute is opened and decided on its own."""
    return dispute.stage


def _dispute(
    dispute: Dispute, of: PaidFor, *, turn: str, headline: str, notice: Notice, lines: Sequence[Line]
) -> Content | Outdated:
    if dispute_turn(dispute) != turn:
        return Outdated(f"The dispute is {format_status(dispute.status)} now.")
    return Content(
        subject_line=_("%(headline)s: %(of)s") % {"headline": headline, "of": of.name},
        headline=headline,
        amount=money(dispute.amount_minor, dispute.currency),
        blocks=[
            notice,
            *([Table(lines, title=_("Licences"))] if lines else []),
            Table(
                [
                    Line(_("For"), of.name),
                    *([Line(_("Reason given by the bank"), dispute.reason)] if dispute.reason else []),
                    Line(_("Dispute"), dispute.shown_id),
                ]
            ),
        ],
    )


def dispute_opened(dispute: Dispute, of: PaidFor, consequence: str, lines: Sequence[Line]) -> Content | Outdated:
    """The buyer's bank asks for the money back."""
    text = _("Your bank asked us to return this payment. If you did not want that, tell your bank.")
    notice, headline = Notice(f"{text} {consequence}", "bad"), _("Your bank disputes your payment")
    return _dispute(dispute, of, turn=OPENED, headline=headline, notice=notice, lines=lines)


def dispute_lost(dispute: Dispute, of: PaidFor, consequence: str, lines: Sequence[Line]) -> Content | Outdated:
    """The bank decided for the buyer."""
    headline = _("The dispute ended: the money is yours again")
    return _dispute(dispute, of, turn=LOST, headline=headline, notice=Notice(consequence), lines=lines)


def dispute_won(dispute: Dispute, of: PaidFor, consequence: str, lines: Sequence[Line]) -> Content | Outdated:
    """The payment stands."""
    headline = _("The dispute ended: your payment stands")
    return _dispute(dispute, of, turn=WON, headline=headline, notice=Notice(consequence, "good"), lines=lines)


DISPUTE_TEXTS: Mapping[str, Callable[[Dispute, PaidFor, str, Sequence[Line]], Content | Outdated]] = {
    OPENED: dispute_opened,
    LOST: dispute_lost,
    WON: dispute_won,
}


# --- Samples ---


def sample_refund(status: str, **fields: str) -> Refund:
    """A refund to show a message with; it is in no table."""
    at = timezone.now()
    return Refund(
        status=status,
        amount_minor=60_00,
        currency="EUR",
        source=Refund.Source.BUYER,
        created_at=at,
        succeeded_at=at,
        **fields,
    )


def sample_dispute(turn: str) -> Dispute:
    """A dispute to show a message with; it is in no table."""
    statuses = {OPENED: DisputeStatus.OPENED, LOST: DisputeStatus.LOST, WON: DisputeStatus.WON}
    return Dispute(status=statuses[turn], amount_minor=60_00, currency="EUR", reason="Product not received")
