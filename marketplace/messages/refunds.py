"""The refunds of an order: requested, sent, failed, or returned by the buyer's bank."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from marketplace.messages.samples import sample_order
from marketplace.messages.wording import order_name
from marketplace.models import Order, RefundApplication, RefundLine
from payments import messages as shared
from payments.messages import REFUND_TEXTS, ComposeRefund, PaidFor
from payments.models import Refund
from payments.states import RefundStatus
from veza.core.email.content import Content, Line, Outdated
from veza.core.email.formats import money
from veza.core.email.messages import Audience, Message
from veza.core.email.outbox import write_email


def write_refund_email(refund: Refund, *, at: datetime) -> None:
    """Tell the buyer what became of a refund. A bank may change its mind, so its time belongs to the fact."""
    write_email(REFUNDS[refund.status], refund, to=refund.payment.payer_id, occasion=at.isoformat())


def _about(compose: ComposeRefund) -> Callable[[UUID, str], Content | Outdated]:
    def compose_for_order(refund_id: UUID, _occasion: str, /) -> Content | Outdated:
        refund = Refund.objects.select_related("payment").get(pk=refund_id)
        order = Order.objects.get(pk=refund.payment.purpose_id)
        lines = RefundLine.objects.filter(refund=refund).select_related("item").order_by("item")
        items = [Line(line.item.title, money(line.total_minor, order.currency)) for line in lines]
        is_granted = RefundApplication.objects.filter(pk=refund.pk).exists()
        return compose(refund, replace(_paid_for(order, items), is_granted=is_granted))

    return compose_for_order


def _paid_for(order: Order, items: Sequence[Line]) -> PaidFor:
    return PaidFor(order_name(order.shown_id), items)


def _message(name: str, when: str, compose: ComposeRefund, status: str, **fields: str) -> Message:
    def sample() -> Content:
        items = [Line("Ink Study No. 4", money(60_00, "EUR"))]
        content = compose(shared.sample_refund(status, **fields), _paid_for(sample_order(), items))
        assert isinstance(content, Content), "a sample is of the status that its message is about"
        return content

    return Message(f"order_refund_{name}", Audience.BUYER, when, _about(compose), sample)


REFUND_REQUESTED = _message(
    "requested",
    "A refund of an order was requested: the acknowledgement that a withdrawal needs.",
    shared.refund_requested,
    RefundStatus.PENDING,
)
REFUNDS: Mapping[str, Message] = {
    RefundStatus.SUCCEEDED: _message(
        "sent", "A refund of an order succeeded.", REFUND_TEXTS[RefundStatus.SUCCEEDED], RefundStatus.SUCCEEDED
    ),
    RefundStatus.FAILED: _message(
        "failed",
        "A refund of an order failed.",
        REFUND_TEXTS[RefundStatus.FAILED],
        RefundStatus.FAILED,
        error_message="The card was closed by its issuer.",
    ),
    RefundStatus.BOUNCED: _message(
        "returned",
        "The buyer's bank returned a refund of an order.",
        REFUND_TEXTS[RefundStatus.BOUNCED],
        RefundStatus.BOUNCED,
    ),
}
