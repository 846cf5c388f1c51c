"""The words of the proof that every cent of a payment is where the books say it is: faults, terms, entries and books.

It is written from what must be true of the world, not from the postings: what a payment received, what its refunds and
disputes took, what was applied to its order or invoice. Each fact names the exact postings it must have, account by
account, side by side, in its currency and on its payment; each posting must be named by exactly one fact.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol
from uuid import UUID

from payments.ledger.chart_of_accounts import (
    UNAPPLIED,
)
from payments.models import Payment, Posting, Refund
from payments.states import RefundStatus
from veza.core.money import format_amount

Kind = Posting.Kind
Key = tuple[str, UUID]


@dataclass(frozen=True)
class Fault:
    """Something that is not true: a sentence that names the row, and the amount in question."""

    text: str
    amount_minor: int
    currency: str

    def __str__(self) -> str:
        return self.text


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

    @property
    def fault(self) -> Fault:
        """What is wrong with a term that does not hold."""
        assert self.expected_minor is not None, "a term that nothing knows otherwise holds"
        return Fault(
            f"{self.label} is {self.booked_minor} in the ledger and {self.expected_minor} in the rows "
            f"({self.currency})",
            abs(self.booked_minor - self.expected_minor),
            self.currency,
        )


@dataclass(frozen=True)
class Entry:
    """One posting, as it is or as a fact says it must be."""

    kind: str
    subject_id: UUID
    number: int
    debit: str
    credit: str
    amount_minor: int
    currency: str

    def __str__(self) -> str:
        amount = format_amount(self.amount_minor, self.currency)
        return f"{self.kind} {self.subject_id}: {amount} from {self.debit} to {self.credit}"

    @property
    def key(self) -> Key:
        return self.kind, self.subject_id

    def fault(self, what: str) -> Fault:
        return Fault(f"{what}: {self}", self.amount_minor, self.currency)


@dataclass(frozen=True)
class Proof:
    """The terms of one payment, for display, and everything that is wrong with it."""

    payment_id: UUID
    terms: list[Term]
    faults: list[Fault] = field(default_factory=list)

    @property
    def is_balanced(self) -> bool:
        return not self.faults and all(term.holds for term in self.terms)

    @property
    def differences(self) -> list[Fault]:
        """Everything that is wrong, each naming the payment."""
        faults = [term.fault for term in self.terms if not term.holds] + self.faults
        return [replace(fault, text=f"payment {self.payment_id}: {fault}") for fault in faults]


@dataclass
class Books:
    """The postings of one payment, handed out to the facts that explain them."""

    payment: Payment
    entries: dict[Key, list[Entry]]
    misfiled: list[Entry] = field(default_factory=list)

    def take(self, kind: str, subject_id: UUID) -> list[Entry]:
        """The postings of one fact, in the order they were numbered; no other fact gets them."""
        return self.entries.pop((kind, subject_id), [])

    def all_entries(self) -> Iterator[Entry]:
        for entries in self.entries.values():
            yield from entries

    def find_unexplained(self) -> list[Fault]:
        """What no fact has asked for, and what the pages show under another order or subscription."""
        unexplained = [entry.fault("posted and explained by nothing") for entry in self.all_entries()]
        return unexplained + [entry.fault("posted under another order or subscription") for entry in self.misfiled]


def faults_between(expected: Iterable[Entry], entries: Iterable[Entry]) -> list[Fault]:
    """What a fact must have posted and has not, and what is posted in its name and should not be."""
    target, actual = Counter(expected), Counter(entries)
    missing = [entry.fault("not posted") for entry in (target - actual).elements()]
    return missing + [entry.fault("posted and not true") for entry in (actual - target).elements()]


def books_of(payments: Sequence[Payment]) -> dict[UUID, Books]:
    """The postings of each of `payments`, in one query."""
    books = {payment.pk: Books(payment, {}) for payment in payments}
    rows = Posting.objects.filter(payment__in=books).order_by("number", "pk")
    columns = ("kind", "subject_id", "number", "debit_id", "credit_id", "amount_minor", "currency")
    for payment_id, correlation_id, *values in rows.values_list("payment_id", "correlation_id", *columns).iterator():
        entry, own = Entry(*values), books[payment_id]
        own.entries.setdefault(entry.key, []).append(entry)
        if correlation_id != own.payment.correlation_id:
            own.misfiled.append(entry)
    return books


class Purchase(Protocol):
    """An order or an invoice: what a payment is for, with its price in minor units of `currency`."""

    pk: UUID
    total_minor: int
    currency: str


def faults_of_price(payment: Payment, purchase: Purchase) -> list[Fault]:
    """Where a payment asks for another amount than its order or invoice costs."""
    if (payment.amount_minor, payment.currency) == (purchase.total_minor, purchase.currency):
        return []
    price = format_amount(payment.amount_minor, payment.currency)
    total = format_amount(purchase.total_minor, purchase.currency)
    text = f"its price is {price}, and {payment.purpose} {purchase.pk} costs {total}"
    return [Fault(text, abs(payment.amount_minor - purchase.total_minor) or payment.amount_minor, purchase.currency)]


def overdrawn_funds(books: Books) -> list[Fault]:
    """What was given away of a payment beyond what it received: other payments' funds would hide it in the account."""
    sums: dict[str, int] = defaultdict(int)
    for entry in books.all_entries():
        sums[entry.currency] += (entry.credit == UNAPPLIED) * entry.amount_minor
        sums[entry.currency] -= (entry.debit == UNAPPLIED) * entry.amount_minor
    return [
        Fault(f"{format_amount(-amount, currency)} more was applied or returned than was received", -amount, currency)
        for currency, amount in sums.items()
        if amount < 0
    ]


def is_paid_out(refund: Refund) -> bool:
    """Whether the buyer has it."""
    return refund.status == RefundStatus.SUCCEEDED
