"""This floor's part of an order history, in sentences, and what happens next."""

from uuid import UUID

from payments.ledger.chart_of_accounts import ACCOUNT_NAMES, seller_of
from payments.models import Dispute, Payment, Posting, Refund, WebhookDelivery, WriteOff
from payments.states import DISPUTE_UNDER_WAY, PaymentStatus, RefundStatus
from veza.core.models import User
from veza.core.money import format_amount
from veza.core.timeline import TimelineLine


def lines(correlation_id: UUID) -> list[TimelineLine]:
    """Payments opened, refunds requested, disputes, losses, deliveries received and postings, in no order."""
    rows = [*_payments(correlation_id), *_refunds(correlation_id), *_disputes(correlation_id)]
    return [*rows, *_losses(correlation_id), *_deliveries(correlation_id), *_postings(correlation_id)]


def next_steps(correlation_id: UUID) -> list[str]:
    """What will happen to open payments and refunds, and when."""
    steps = []
    for payment in Payment.objects.filter(correlation_id=correlation_id, status=PaymentStatus.CREATED):
        steps.append(f"Payment {payment.shown_id} is refreshed from Hyperswitch at {payment.next_attempt_at:%H:%M:%S}.")
    for payment in Payment.objects.filter(correlation_id=correlation_id, status=PaymentStatus.PENDING):
        steps.append(f"The buyer can pay at {payment.payment_url}.")
    for refund in Refund.objects.filter(correlation_id=correlation_id, status=RefundStatus.PENDING):
        steps.append(
            f"Hyperswitch will report on refund {refund.shown_id}."
            if refund.next_attempt_at is None
            else f"Refund {refund.shown_id} is refreshed from Hyperswitch at {refund.next_attempt_at:%H:%M:%S}."
        )
    for dispute in Dispute.objects.filter(correlation_id=correlation_id, status__in=DISPUTE_UNDER_WAY):
        steps.append(f"The bank will decide dispute {dispute.hyperswitch_dispute_id}; it is refreshed every day.")
    return steps


def _payments(correlation_id: UUID) -> list[TimelineLine]:
    return [
        TimelineLine(
            payment.created_at,
            f"Payment of {format_amount(payment.amount_minor, payment.currency)} opened ({payment.provider_key}).",
            "open",
        )
        for payment in Payment.objects.filter(correlation_id=correlation_id)
    ]


def _refunds(correlation_id: UUID) -> list[TimelineLine]:
    refunds = Refund.objects.filter(correlation_id=correlation_id)
    return [TimelineLine(refund.created_at, _describe_refund(refund), "open") for refund in refunds]


def _describe_refund(refund: Refund) -> str:
    amount, reason = format_amount(refund.amount_minor, refund.currency), refund.reason.rstrip(".")
    if refund.source == Refund.Source.VOID:
        return f"{amount} was voided at the provider: {reason}."
    if refund.source == Refund.Source.BANK:
        return f"{amount} was paid from our bank account ({refund.bank_reference}): {reason or 'no reason given'}."
    return (
        f"A refund of {amount} was requested by the {refund.source} ({refund.provider_key}): "
        f"{reason or 'no reason given'}."
    )


def _disputes(correlation_id: UUID) -> list[TimelineLine]:
    return [
        TimelineLine(
            dispute.created_at,
            f"The buyer's bank disputed {format_amount(dispute.amount_minor, dispute.currency)} "
            f"({dispute.hyperswitch_dispute_id}): {dispute.reason or 'no reason given'}.",
            "open",
        )
        for dispute in Dispute.objects.filter(correlation_id=correlation_id)
    ]


def _losses(correlation_id: UUID) -> list[TimelineLine]:
    """What finance wrote off and why, and what was recovered of it later."""
    write_offs = list(WriteOff.objects.filter(correlation_id=correlation_id))
    names = account_names({write_off.account_id for write_off in write_offs})
    texts = []
    for write_off in write_offs:
        is_debt = seller_of(write_off.account_id) is not None
        what = f"that {names[write_off.account_id]} owed" if is_debt else "that could not be recovered"
        text = f"{format_amount(write_off.amount_minor, write_off.currency)} {what} was written off as our loss"
        reason = write_off.reason.rstrip(".") or "no reason given"
        texts.append(TimelineLine(write_off.created_at, f"{text} by {write_off.decided_by}: {reason}.", "open"))
    keys = [write_off.pk for write_off in write_offs]
    for posting in Posting.objects.filter(kind=Posting.Kind.WRITE_OFF, subject_id__in=keys, number__gt=0):
        amount = format_amount(posting.amount_minor, posting.currency)
        texts.append(TimelineLine(posting.at, f"{amount} of what had been written off was recovered.", "open"))
    return texts


def _deliveries(correlation_id: UUID) -> list[TimelineLine]:
    return [
        TimelineLine(
            delivery.received_at,
            f"{delivery.provider.capitalize()} sent {delivery.event_type} ({delivery.event_id}): "
            f"{delivery.processing_result}.",
            "delivery",
        )
        for delivery in WebhookDelivery.objects.filter(correlation_id=correlation_id)
    ]


def _postings(correlation_id: UUID) -> list[TimelineLine]:
    postings = list(Posting.objects.filter(correlation_id=correlation_id))
    names = account_names({code for posting in postings for code in (posting.debit_id, posting.credit_id)})
    return [
        TimelineLine(
            posting.at,
            f"Booked {format_amount(posting.amount_minor, posting.currency)} "
            f"from {names[posting.debit_id]} to {names[posting.credit_id]}.",
            "posting",
        )
        for posting in postings
    ]


def account_names(codes: set[str]) -> dict[str, str]:
    """The display name of each account: that of a seller is their e-mail address."""
    sellers = {seller_id: code for code in codes if (seller_id := seller_of(code))}
    emails = User.objects.filter(pk__in=sellers).values_list("pk", "email")
    return {code: code for code in codes} | ACCOUNT_NAMES | {sellers[seller_id]: email for seller_id, email in emails}
