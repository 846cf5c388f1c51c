"""What a dispute means for the licences of an order."""

from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

from django.utils.translation import gettext as _

from marketplace.messages.samples import sample_items, sample_order
from marketplace.messages.wording import license_status, order_name
from marketplace.models import License, Order
from marketplace.states import LicenseStatus
from payments.messages import DISPUTE_TEXTS, LOST, OPENED, WON, PaidFor, dispute_occasion, dispute_turn, sample_dispute
from payments.models import Dispute
from veza.core.email.content import Content, Line, Outdated
from veza.core.email.messages import Audience, Message
from veza.core.email.series import fact_of, write_email_if_changed


def write_dispute_email(dispute: Dispute) -> None:
    """Tell the buyer what a dispute means for the licences, each time it changes, at each stage."""
    message = DISPUTES[dispute_turn(dispute)]
    write_email_if_changed(message, dispute, to=dispute.payment.payer_id, occasion=dispute_occasion(dispute))


def _about(turn: str) -> Callable[[UUID, str], Content | Outdated]:
    def compose(dispute_id: UUID, occasion: str, /) -> Content | Outdated:
        dispute = Dispute.objects.select_related("payment").get(pk=dispute_id)
        if dispute_occasion(dispute) != fact_of(occasion):
            return Outdated("The dispute is at another stage now.")
        order = Order.objects.get(pk=dispute.payment.purpose_id)
        licenses = License.objects.filter(order=order).select_related("item").order_by("item")
        lines = [Line(row.item.title, license_status(row.status)) for row in licenses]
        return _compose(turn, dispute, order, lines)

    return compose


def _compose(turn: str, dispute: Dispute, order: Order, lines: Sequence[Line]) -> Content | Outdated:
    consequences = {
        OPENED: _("While the bank decides, the licences of this order are suspended: do not use the works."),
        LOST: _("The bank returned the money to you. The licences of what it paid for are revoked."),
        WON: _("The bank decided that the payment stands. You may use the works again."),
    }
    return DISPUTE_TEXTS[turn](dispute, PaidFor(order_name(order.shown_id)), consequences[turn], lines)


def _message(turn: str, when: str, status: str) -> Message:
    def sample() -> Content:
        lines = [Line(item.title, license_status(status)) for item in sample_items()]
        content = _compose(turn, sample_dispute(turn), sample_order(), lines)
        assert isinstance(content, Content), "a sample is of the status that its message is about"
        return content

    return Message(f"order_dispute_{turn}", Audience.BUYER, when, _about(turn), sample, series="order_dispute")


DISPUTES: Mapping[str, Message] = {
    OPENED: _message(OPENED, "The buyer's bank disputes the payment of an order.", LicenseStatus.SUSPENDED),
    LOST: _message(LOST, "A dispute over an order was lost.", LicenseStatus.REVOKED),
    WON: _message(WON, "A dispute over an order was won.", LicenseStatus.ACTIVE),
}
