"""Money that was sent to a seller, reversed, and what the seller owes."""

from datetime import datetime
from uuid import UUID

from django.utils import timezone
from django.utils.translation import gettext as _

from connect.models import SellerTransfer, TransferReversal, WaitingFor
from connect.states import TransferStatus
from marketplace.models import Order
from veza.core.email.content import Content, Line, Notice, Outdated, Paragraph, Table
from veza.core.email.formats import moment, money
from veza.core.email.messages import Audience, Message
from veza.core.email.outbox import write_email


def write_transfer_email(transfer: SellerTransfer) -> None:
    """Tell the seller that Stripe has the transfer."""
    write_email(TRANSFER_SENT, transfer, to=transfer.seller_id)


def write_reversal_email(transfer: SellerTransfer, reversal: TransferReversal) -> None:
    """Tell the seller how much of a transfer was reversed."""
    write_email(REVERSAL, reversal, to=transfer.seller_id)


def write_debt_email(transfer: SellerTransfer) -> None:
    """Tell the seller what they owe, once for each amount: Stripe refuses the same reversal again and again."""
    write_email(DEBT, transfer, to=transfer.seller_id, occasion=str(transfer.reversal_target_minor))


def _transfer(transfer_id: UUID, _occasion: str, /) -> Content | Outdated:
    transfer = SellerTransfer.objects.select_related("order").get(pk=transfer_id)
    return _compose_transfer(transfer, transfer.completed_at or transfer.created_at)


def _compose_transfer(transfer: SellerTransfer, at: datetime) -> Content:
    about = {"number": transfer.order.shown_id}
    withheld = [Line(_("Withheld for an earlier debt"), money(-transfer.withheld_minor, transfer.currency))]
    return Content(
        subject_line=_("Your share of order %(number)s was transferred") % about,
        headline=_("Your money is in your Stripe account"),
        amount=money(transfer.sent_minor, transfer.currency),
        blocks=[
            Table(
                [
                    Line(_("Your share of order %(number)s") % about, money(transfer.amount_minor, transfer.currency)),
                    *(withheld if transfer.withheld_minor else []),
                ],
                [Line(_("Transferred"), money(transfer.sent_minor, transfer.currency))],
            ),
            Table(
                [
                    Line(_("Transferred on"), moment(at)),
                    *([Line(_("Transfer"), "", transfer.stripe_transfer_id)] if transfer.stripe_transfer_id else []),
                ]
            ),
            Paragraph(_("You can pay it out to your bank from your seller's page.")),
        ],
    )


def _reversal(reversal_id: UUID, _occasion: str, /) -> Content | Outdated:
    reversal = TransferReversal.objects.select_related("transfer__order").get(pk=reversal_id)
    return _compose_reversal(reversal, reversal.transfer)


def _compose_reversal(reversal: TransferReversal, transfer: SellerTransfer) -> Content:
    about = {"number": transfer.order.shown_id}
    left_minor = transfer.sent_minor - transfer.reversed_minor
    return Content(
        subject_line=_("A transfer for order %(number)s was reversed") % about,
        headline=_("Part of a sale was refunded"),
        amount=money(-reversal.amount_minor, reversal.currency),
        blocks=[
            Notice(
                _(
                    "Order %(number)s was refunded or disputed, in full or in part. Your share of it was returned "
                    "from your Stripe account."
                )
                % about
            ),
            Table(
                [
                    Line(_("Transferred for this order"), money(transfer.sent_minor, transfer.currency)),
                    Line(_("Reversed so far"), money(-transfer.reversed_minor, transfer.currency)),
                ],
                [Line(_("Left for you"), money(left_minor, transfer.currency))],
            ),
            Table([Line(_("Order"), transfer.order.shown_id), Line(_("Reversal"), reversal.shown_id)]),
        ],
    )


def _debt(transfer_id: UUID, occasion: str, /) -> Content | Outdated:
    transfer = SellerTransfer.objects.select_related("order").get(pk=transfer_id)
    if transfer.waiting_for != WaitingFor.DEBT or str(transfer.reversal_target_minor) != occasion:
        return Outdated("The seller does not owe this amount any more.")
    return _compose_debt(transfer)


def _compose_debt(transfer: SellerTransfer) -> Content:
    about = {"number": transfer.order.shown_id}
    debt = money(transfer.outstanding_minor, transfer.currency)
    return Content(
        subject_line=_("You owe %(amount)s for order %(number)s") % {**about, "amount": debt},
        headline=_("Your balance is too low for a refund"),
        amount=debt,
        blocks=[
            Notice(
                _(
                    "Order %(number)s was refunded or disputed. Your share of it has to be returned, and the balance "
                    "of your Stripe account is too low."
                )
                % about,
                "bad",
            ),
            Table(
                [
                    Line(_("To be returned"), money(transfer.reversal_target_minor, transfer.currency)),
                    Line(_("Returned so far"), money(-transfer.reversed_minor, transfer.currency)),
                ],
                [Line(_("You owe"), debt)],
            ),
            Paragraph(
                _(
                    "We will try again as your balance grows, and withhold it from your next sales. "
                    "There is nothing you need to do."
                )
            ),
        ],
    )


def _sample_transfer() -> SellerTransfer:
    return SellerTransfer(
        order=Order(),
        amount_minor=45_00,
        withheld_minor=5_00,
        reversal_target_minor=20_00,
        reversed_minor=8_00,
        currency="EUR",
        status=TransferStatus.COMPLETED,
        stripe_transfer_id="tr_1NMZxY2eZvKYlo2C",
    )


def _sample_reversal() -> TransferReversal:
    return TransferReversal(from_minor=0, to_minor=8_00, currency="EUR")


TRANSFER_SENT = Message(
    "transfer_sent",
    Audience.SELLER,
    "Stripe confirmed a transfer to the seller's account.",
    _transfer,
    lambda: _compose_transfer(_sample_transfer(), timezone.now()),
    optional=True,
)
REVERSAL = Message(
    "transfer_reversed",
    Audience.SELLER,
    "A transfer was reversed at Stripe, in full or in part.",
    _reversal,
    lambda: _compose_reversal(_sample_reversal(), _sample_transfer()),
)
DEBT = Message(
    "seller_debt",
    Audience.SELLER,
    "Stripe could not reverse a transfer: the seller's balance is too low.",
    _debt,
    lambda: _compose_debt(_sample_transfer()),
)
