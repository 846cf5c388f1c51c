"""The proof that every cent of a payment is where the books say it is.

For one payment and currency: captured + recoverable = refunded + disputed + sellers + fee + tax + subscriptions +
unapplied. Each term is the sum of the payment's postings, so the equation holds by construction; what proves something
is that each term also equals what the rows say.
"""

from collections import defaultdict
from dataclasses import dataclass
from uuid import UUID

from payments.accounts import (
    DISPUTE_SUSPENSE,
    PLATFORM_FEE,
    PSP_CLEARING,
    RECOVERABLE,
    STRIPE_BALANCE,
    SUBSCRIPTION_INCOME,
    TAX,
    UNAPPLIED,
    seller_of,
)
from payments.models import Dispute, Payment, Posting, Refund
from payments.states import RefundStatus


@dataclass(frozen=True)
class Term:
    """One term of the proof: `booked_minor` by the ledger and, where a row knows it, `expected_minor`."""

    label: str
    booked_minor: int
    expected_minor: int | None
    currency: str

    @property
    def holds(self) -> bool:
        return self.expected_minor is None or self.expected_minor == self.booked_minor


@dataclass(frozen=True)
class Proof:
    payment_id: UUID
    terms: list[Term]

    @property
    def balanced(self) -> bool:
        return all(term.holds for term in self.terms)

    @property
    def differences(self) -> list[str]:
        return [
            f"payment {self.payment_id}: {term.label} is {term.booked_minor} in the ledger and "
            f"{term.expected_minor} in the rows ({term.currency})"
            for term in self.terms
            if not term.holds
        ]


def prove(payment: Payment) -> Proof:
    """Compare the ledger of one payment with its row, its refunds and its disputes, in the currency that came."""
    currency = payment.held_currency
    cash = _moved(payment)
    given_back = Refund.objects.filter(payment=payment, status=RefundStatus.SUCCEEDED, currency=currency)
    refunded = sum(given_back.values_list("amount_minor", flat=True))
    disputes = Dispute.objects.filter(payment=payment, currency=currency)
    in_dispute = sum(disputes.filter(held_at=Dispute.HeldAt.SUSPENSE).values_list("amount_minor", flat=True))
    lost = sum(disputes.filter(held_at=Dispute.HeldAt.BANK).values_list("amount_minor", flat=True))
    sellers = sum(amount for account, amount in cash.held.items() if seller_of(account))
    fee, tax = cash.held.get(PLATFORM_FEE, 0), cash.held.get(TAX, 0)
    unapplied = cash.held.get(UNAPPLIED, 0)
    income = cash.held.get(SUBSCRIPTION_INCOME, 0)
    suspense = cash.held.get(DISPUTE_SUSPENSE, 0)
    disputed = suspense + cash.lost_minor
    recoverable = -cash.held.get(RECOVERABLE, 0)
    sides = cash.received_minor + recoverable - cash.returned_minor - disputed
    sides -= sellers + fee + tax + unapplied + income
    terms = [
        Term("captured", cash.received_minor, payment.received_minor, currency),
        Term("refunded", cash.returned_minor, refunded, currency),
        Term(
            "refunded, as the payment row has it",
            cash.returned_minor,
            payment.refunded_minor,
            currency,
        ),
        Term("disputed", disputed, payment.disputed_minor, currency),
        Term("of it in suspense", suspense, in_dispute, currency),
        Term("of it lost", cash.lost_minor, lost, currency),
        Term("sellers", sellers, None, currency),
        Term("platform fee", fee, None, currency),
        Term("tax", tax, None, currency),
        Term("subscriptions", income, None, currency),
        Term("unapplied", unapplied, None, currency),
        Term("recoverable", recoverable, None, currency),
        Term("captured + recoverable - everything else", sides, 0, currency),
    ]
    return Proof(payment.pk, terms)


@dataclass(frozen=True)
class _Cash:
    received_minor: int
    returned_minor: int
    lost_minor: int
    held: dict[str, int]


def _moved(payment: Payment) -> _Cash:
    """What came in and went out through the provider, and what each account holds of it before sellers are paid out."""
    received = returned = lost = 0
    held: dict[str, int] = defaultdict(int)
    for posting in Posting.objects.filter(payment=payment, currency=payment.held_currency):
        if STRIPE_BALANCE in (posting.debit_id, posting.credit_id):
            continue  # Paying a seller out does not change whose money it is.
        held[posting.debit_id] -= posting.amount_minor
        held[posting.credit_id] += posting.amount_minor
        if posting.cause.startswith(f"payment:{payment.pk}:received:"):
            received += posting.amount_minor
        elif PSP_CLEARING in (posting.debit_id, posting.credit_id):
            out = posting.amount_minor if posting.credit_id == PSP_CLEARING else -posting.amount_minor
            if posting.cause.startswith("dispute:"):
                lost += out
            else:
                returned += out
    return _Cash(received, returned, lost, dict(held))
