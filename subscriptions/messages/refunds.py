"""The refunds of an invoice: requested, sent, failed, or returned by the subscriber's bank."""

from collections.abc import Callable, Mapping
from datetime import datetime
from uuid import UUID

from payments import messages as shared
from payments.messages import REFUND_TEXTS, ComposeRefund
from payments.models import Refund
from payments.states import RefundStatus
from subscriptions.messages.samples import sample_invoice
from subscriptions.messages.wording import paid_for
from subscriptions.models import SubscriptionInvoice
from veza.core.email.content import Content, Outdated
from veza.core.email.messages import Audience, Message
from veza.core.email.outbox import write_email


def write_refund_email(refund: Refund, *, at: datetime) -> None:
    """Tell the subscriber what became of a refund. A bank may change its mind, so its time belongs to the fact."""
    write_email(REFUNDS[refund.status], refund, to=refund.payment.payer_id, occasion=at.isoformat())


def _about(compose: ComposeRefund) -> Callable[[UUID, str], Content | Outdated]:
    def compose_for_invoice(refund_id: UUID, _occasion: str, /) -> Content | Outdated:
        refund = Refund.objects.select_related("payment").get(pk=refund_id)
        invoice = SubscriptionInvoice.objects.select_related("plan").get(pk=refund.payment.purpose_id)
        return compose(refund, paid_for(invoice))

    return compose_for_invoice


def _message(name: str, when: str, compose: ComposeRefund, status: str, **fields: str) -> Message:
    def sample() -> Content:
        content = compose(shared.sample_refund(status, **fields), paid_for(sample_invoice()))
        assert isinstance(content, Content), "a sample is of the status that its message is about"
        return content

    return Message(f"invoice_refund_{name}", Audience.BUYER, when, _about(compose), sample)


REFUND_REQUESTED = _message(
    "requested", "A refund of an invoice was requested.", shared.refund_requested, RefundStatus.PENDING
)
REFUNDS: Mapping[str, Message] = {
    RefundStatus.SUCCEEDED: _message(
        "sent", "A refund of an invoice succeeded.", REFUND_TEXTS[RefundStatus.SUCCEEDED], RefundStatus.SUCCEEDED
    ),
    RefundStatus.FAILED: _message(
        "failed",
        "A refund of an invoice failed.",
        REFUND_TEXTS[RefundStatus.FAILED],
        RefundStatus.FAILED,
        error_message="The card was closed by its issuer.",
    ),
    RefundStatus.BOUNCED: _message(
        "returned",
        "The subscriber's bank returned a refund of an invoice.",
        REFUND_TEXTS[RefundStatus.BOUNCED],
        RefundStatus.BOUNCED,
    ),
}
