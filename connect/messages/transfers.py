"""Money that was sent to a seller, withheld or reversed, what is sent less, and what the seller owes."""

from collections.abc import Mapping
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
from veza.core.email.outbox import draft, write_email, write_emails


def write_transfer_email(transfer: SellerTransfer) -> None:
    """Tell the seller that Stripe has the transfer."""
    write_email(TRANSFER_SENT, transfer, to=transfer.seller_id)


def write_reversal_email(transfer: SellerTransfer, reversal: TransferReversal) -> None:
    """Tell the seller how much of a transfer was reversed."""
    write_email(REVERSAL, reversal, to=transfer.seller_id)


def write_withheld_email(transfer: SellerTransfer) -> None:
    """Tell the seller that all of a transfer paid an earlier debt."""
    write_email(WITHHELD, transfer, to=transfer.seller_id)


def write_reduced_emails(reduced: Mapping[SellerTransfer, int]) -> None:
    """Tell sellers that less of a sale is theirs, before anything was sent: transfers with the amount that is gone."""
    write_emails(
        [
            draft(REDUCED, row, to=row.seller_id, occasion=f"{gone_minor} {_left_minor(row)}")
            for row, gone_minor in reduced.items()
        ]
    )


def _left_minor(transfer: SellerTransfer) -> int:
    return 0 if transfer.status == TransferStatus.CANCELLED else transfer.amount_minor


def write_debt_email(transfer: SellerTransfer, *, owed_since: UUID | None) -> None:
    """Tell the seller what they owe, once for each amount and time: Stripe refuses the same reversal again and again.

    `owed_since` is the key of the status change that made it due.
    """
    write_email(DEBT, transfer, to=transfer.seller_id, occasion=f"{transfer.reversal_target_minor} {owed_since or ''}")


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


def _withheld(transfer_id: UUID, _occasion: str, /) -> Content | Outdated:
    return _compose_withheld(SellerTransfer.objects.select_related("order").get(pk=transfer_id))


def _compose_withheld(transfer: SellerTransfer) -> Content:
    about = {"number": transfer.order.shown_id}
    return Content(
        subject_line=_("Your share of order %(number)s paid an earlier debt") % about,
        headline=_("A sale paid an earlier debt"),
        amount=money(transfer.amount_minor, transfer.currency),
        blocks=[
            Notice(_("You owed us money for an earlier order that was refunded or disputed.")),
            Table(
                [
                    Line(_("Your share of order %(number)s") % about, money(transfer.amount_minor, transfer.currency)),
                    Line(_("Withheld for an earlier debt"), money(-transfer.withheld_minor, transfer.currency)),
                ],
                [Line(_("Transferred"), money(transfer.sent_minor, transfer.currency))],
            ),
        ],
    )


def _reduced(transfer_id: UUID, occasion: str, /) -> Content | Outdated:
    transfer = SellerTransfer.objects.select_related("order").get(pk=transfer_id)
    gone_minor, left_minor = map(int, occasion.split())
    return _compose_reduced(transfer, gone_minor, left_minor)


def _compose_reduced(transfer: SellerTransfer, gone_minor: int, left_minor: int) -> Content:
    """It stays true whatever follows: it tells one change, and the next tells the next."""
    about = {"number": transfer.order.shown_id}
    return Content(
        subject_line=_("Order %(number)s was refunded before your share was sent") % about,
        headline=_("A sale was refunded or disputed"),
        amount=money(-gone_minor, transfer.currency),
        blocks=[
            Notice(
                _(
                    "Order %(number)s was refunded or disputed, in full or in part, before your share of it was "
                    "transferred. So less is transferred."
                )
                % about
            ),
            Table(
                [
                    Line(_("Your share so far"), money(gone_minor + left_minor, transfer.currency)),
                    Line(_("Refunded or disputed"), money(-gone_minor, transfer.currency)),
                ],
                [Line(_("Left for you"), money(left_minor, transfer.currency))],
            ),
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
        headline=_("A sale was refunded or disputed"),
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
    if transfer.waiting_for != WaitingFor.DEBT or str(transfer.reversal_target_minor) != occasion.split()[0]:
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


def _sample_transfer(*, withheld_minor: int = 5_00) -> SellerTransfer:
    return SellerTransfer(
        order=Order(),
        amount_minor=45_00,
        withheld_minor=withheld_minor,
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
WITHHELD = Message(
    "share_withheld",
    Audience.SELLER,
    "A transfer paid a debt of the seller's with all of its amount: nothing was sent.",
    _withheld,
    lambda: _compose_withheld(_sample_transfer(withheld_minor=45_00)),
)
REDUCED = Message(
    "share_reduced",
    Audience.SELLER,
    "A refund or dispute left a seller less of a sale before it was transferred.",
    _reduced,
    lambda: _compose_reduced(_sample_transfer(), 20_00, 25_00),
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
