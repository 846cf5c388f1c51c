"""What a dispute means for a subscription."""

from collections.abc import Callable, Mapping
from uuid import UUID

from django.utils.translation import gettext as _

from payments.messages import DISPUTE_TEXTS, LOST, OPENED, WON, dispute_occasion, dispute_turn, sample_dispute
from payments.models import Dispute
from subscriptions.messages.samples import sample_invoice
from subscriptions.messages.wording import paid_for
from subscriptions.models import SubscriptionInvoice
from veza.core.email.content import Content, Outdated
from veza.core.email.messages import Audience, Message
from veza.core.email.series import fact_of, write_email_if_changed


def write_dispute_email(dispute: Dispute) -> None:
    """Tell the subscriber what a dispute means for the subscription, each time it changes, at each stage."""
    message = DISPUTES[dispute_turn(dispute)]
    write_email_if_changed(message, dispute, to=dispute.payment.payer_id, occasion=dispute_occasion(dispute))


def _about(turn: str) -> Callable[[UUID, str], Content | Outdated]:
    def compose(dispute_id: UUID, occasion: str, /) -> Content | Outdated:
        dispute = Dispute.objects.select_related("payment").get(pk=dispute_id)
        if dispute_occasion(dispute) != fact_of(occasion):
            return Outdated("The dispute is at another stage now.")
        invoice = SubscriptionInvoice.objects.select_related("plan").get(pk=dispute.payment.purpose_id)
        return _compose(turn, dispute, invoice)

    return compose


def _compose(turn: str, dispute: Dispute, invoice: SubscriptionInvoice) -> Content | Outdated:
    consequences = {
        OPENED: _(
            "Your subscription goes on while the bank decides. We do not charge your saved payment method meanwhile."
        ),
        LOST: _("The bank returned the money to you. The period it paid for gives no access any more."),
        WON: _("The bank decided that the payment stands. Your subscription is not affected."),
    }
    return DISPUTE_TEXTS[turn](dispute, paid_for(invoice), consequences[turn], ())


def _message(turn: str, when: str) -> Message:
    def sample() -> Content:
        content = _compose(turn, sample_dispute(turn), sample_invoice())
        assert isinstance(content, Content), "a sample is of the status that its message is about"
        return content

    return Message(f"invoice_dispute_{turn}", Audience.BUYER, when, _about(turn), sample, series="invoice_dispute")


DISPUTES: Mapping[str, Message] = {
    OPENED: _message(OPENED, "The subscriber's bank disputes the payment of an invoice."),
    LOST: _message(LOST, "A dispute over an invoice was lost."),
    WON: _message(WON, "A dispute over an invoice was won."),
}
