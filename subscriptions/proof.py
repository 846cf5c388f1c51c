"""What an invoice's row says must be true of the payment that paid it."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from uuid import UUID

from payments.ledger.chart_of_accounts import SUBSCRIPTION_INCOME, TAX, UNAPPLIED
from payments.ledger.proof import Entry, Term
from payments.models import Dispute, Payment, Posting, Refund
from payments.states import RefundStatus
from subscriptions.invoices import allocation_of
from subscriptions.models import SubscriptionInvoice


def invoices_paid_by(payments: Collection[Payment]) -> dict[UUID, SubscriptionInvoice]:
    """By payment, the invoice it paid; a payment whose money came too late paid none."""
    keys = {payment.provider_key: payment.pk for payment in payments if payment.purpose == Payment.Purpose.INVOICE}
    rows = SubscriptionInvoice.objects.filter(hyperswitch_payment_id__in=keys, paid_at__isnull=False)
    return {keys[str(row.hyperswitch_payment_id)]: row for row in rows}


def entries_of(invoice: SubscriptionInvoice) -> list[Entry]:
    """The postings of a paid invoice, exactly."""
    return [
        Entry(Posting.Kind.APPLIED, invoice.pk, 0, UNAPPLIED, account, amount, invoice.currency)
        for account, amount in allocation_of(invoice).items()
    ]


def terms_of(
    payment: Payment,
    invoice: SubscriptionInvoice | None,
    entries: Iterable[Entry],
    refunds: Sequence[Refund],
    disputes: Sequence[Dispute],
) -> list[Term]:
    """Income and tax of one payment of an invoice: due by the invoice it paid, less what refunds and disputes took."""
    due = {SUBSCRIPTION_INCOME: 0, TAX: 0} | (allocation_of(invoice) if invoice else {})
    back = [refund.allocation for refund in refunds if refund.status == RefundStatus.SUCCEEDED]
    for allocation in (*back, *(dispute.allocation for dispute in disputes)):
        due = {account: amount - allocation.get(account, 0) for account, amount in due.items()}
    holdings: dict[str, int] = defaultdict(int)
    for entry in entries:
        if entry.kind in (Posting.Kind.APPLIED, Posting.Kind.REFUND, Posting.Kind.DISPUTE):
            holdings[entry.debit] -= entry.amount_minor
            holdings[entry.credit] += entry.amount_minor
    return [
        Term(f"held by {account}", holdings.get(account, 0), due[account], payment.currency)
        for account in (SUBSCRIPTION_INCOME, TAX)
    ]
