"""The proof of an invoice: what each account should hold of its payment, compared with what was posted."""

from collections.abc import Iterator

from payments.ledger.chart_of_accounts import SUBSCRIPTION_INCOME, TAX
from payments.ledger.postings import balances
from payments.ledger.proof import Term
from payments.models import Payment
from payments.states import RefundStatus
from subscriptions.invoices import allocation_of
from subscriptions.models import SubscriptionInvoice


def prove_invoice(payment: Payment) -> list[Term]:
    """Income and tax of one payment of an invoice: the invoice's allocation less refunds and disputes."""
    due = _due(payment)
    account_balances = balances(payment=payment)
    return [
        Term(f"held by {account}", account_balances.get((account, payment.currency), 0), due[account], payment.currency)
        for account in (SUBSCRIPTION_INCOME, TAX)
    ]


def _due(payment: Payment) -> dict[str, int]:
    due = {SUBSCRIPTION_INCOME: 0, TAX: 0}
    invoice = SubscriptionInvoice.objects.filter(hyperswitch_payment_id=payment.provider_key).first()
    if invoice is not None:
        due |= allocation_of(invoice)
    for allocation in _allocations_of_returns(payment):
        due = {account: amount - allocation.get(account, 0) for account, amount in due.items()}
    return due


def _allocations_of_returns(payment: Payment) -> Iterator[dict[str, int]]:
    yield from payment.refunds.filter(status=RefundStatus.SUCCEEDED).values_list("allocation", flat=True)
    yield from payment.disputes.values_list("allocation", flat=True)
