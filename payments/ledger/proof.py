"""The proof that every cent of a payment is where the books say it is.

For one payment and currency: captured + recoverable = refunded + disputed + sellers + fee + tax + subscriptions +
unapplied, with what was written off added back. Each term is the sum of the payment's postings, so the equation holds
by construction; what proves something is that each term also equals what the rows say.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from payments.ledger.chart_of_accounts import (
    DISPUTE_LOSS,
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


def prove_many(payments: Sequence[Payment]) -> list[Proof]:
    """Prove each of `payments`, in their order, for as many queries as one of them costs."""
    moved, refunds, disputes = _postings_of(payments), _refunds_of(payments), _disputes_of(payments)
    return [_proof(one, moved[one.pk], refunds[one.pk], disputes[one.pk]) for one in payments]


@dataclass(frozen=True)
class _Moved:
    """One posting, as far as the proof looks at it."""

    debit: str
    credit: str
    amount_minor: int
    currency: str
    reference: str


def _postings_of(payments: Sequence[Payment]) -> Mapping[UUID, list[_Moved]]:
    found: dict[UUID, list[_Moved]] = defaultdict(list)
    rows = Posting.objects.filter(payment__in=[one.pk for one in payments])
    columns = ("payment_id", "debit_id", "credit_id", "amount_minor", "currency", "reference")
    for payment_id, *payload in rows.values_list(*columns).iterator():
        found[payment_id].append(_Moved(*payload))
    return found


def _refunds_of(payments: Sequence[Payment]) -> Mapping[UUID, list[tuple[str, int]]]:
    """Currency and amount of every refund that succeeded."""
    found: dict[UUID, list[tuple[str, int]]] = defaultdict(list)
    done = Refund.objects.filter(payment__in=[one.pk for one in payments], status=RefundStatus.SUCCEEDED)
    for payment_id, currency, amount in done.values_list("payment_id", "currency", "amount_minor"):
        found[payment_id].append((currency, amount))
    return found


def _disputes_of(payments: Sequence[Payment]) -> Mapping[UUID, list[tuple[str, str, int]]]:
    """Currency, where the money is held, and amount of every dispute."""
    found: dict[UUID, list[tuple[str, str, int]]] = defaultdict(list)
    rows = Dispute.objects.filter(payment__in=[one.pk for one in payments])
    for payment_id, currency, held_at, amount in rows.values_list("payment_id", "currency", "held_at", "amount_minor"):
        found[payment_id].append((currency, held_at, amount))
    return found


def _proof(
    payment: Payment,
    postings: Iterable[_Moved],
    refunds: Iterable[tuple[str, int]],
    disputes: Sequence[tuple[str, str, int]],
) -> Proof:
    currency = payment.held_currency
    cash = _moved(payment, postings)
    refunded = sum(amount for written, amount in refunds if written == currency)
    in_dispute = sum(amount for written, at, amount in disputes if (written, at) == (currency, Dispute.HeldAt.SUSPENSE))
    lost = sum(amount for written, at, amount in disputes if (written, at) == (currency, Dispute.HeldAt.BANK))
    sellers = sum(amount for account, amount in cash.held.items() if seller_of(account))
    fee, tax = cash.held.get(PLATFORM_FEE, 0), cash.held.get(TAX, 0)
    unapplied = cash.held.get(UNAPPLIED, 0)
    income = cash.held.get(SUBSCRIPTION_INCOME, 0)
    suspense = cash.held.get(DISPUTE_SUSPENSE, 0)
    disputed = suspense + cash.lost_minor
    recoverable = -cash.held.get(RECOVERABLE, 0)
    lost_by_us = -cash.held.get(DISPUTE_LOSS, 0)
    sides = cash.received_minor + recoverable + lost_by_us - cash.returned_minor - disputed
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
        Term("written off", lost_by_us, None, currency),
        Term("captured + recoverable - everything else", sides, 0, currency),
    ]
    return Proof(payment.pk, terms)


@dataclass(frozen=True)
class _Cash:
    received_minor: int
    returned_minor: int
    lost_minor: int
    held: dict[str, int]


def _moved(payment: Payment, postings: Iterable[_Moved]) -> _Cash:
    """What came in and went out through the provider, and what each account holds of it before sellers are paid out."""
    received = returned = lost = 0
    held: dict[str, int] = defaultdict(int)
    for posting in postings:
        if posting.currency != payment.held_currency or STRIPE_BALANCE in (posting.debit, posting.credit):
            continue  # Paying a seller out does not change whose money it is.
        held[posting.debit] -= posting.amount_minor
        held[posting.credit] += posting.amount_minor
        if posting.reference.startswith(f"payment:{payment.pk}:received:"):
            received += posting.amount_minor
        elif PSP_CLEARING in (posting.debit, posting.credit):
            out = posting.amount_minor if posting.credit == PSP_CLEARING else -posting.amount_minor
            if posting.reference.startswith("dispute:"):
                lost += out
            else:
                returned += out
    return _Cash(received, returned, lost, dict(held))
