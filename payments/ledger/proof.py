"""The proof that every cent of a payment is where the books say it is.

It is written from what must be true of the world, not from the postings: what a payment received, what its refunds and
disputes took, what was applied to its order or invoice. Each fact names the exact postings it must have, account by
account, side by side, in its currency and on its payment; each posting must be named by exactly one fact.

Beside that, the terms of a payment's equation are shown on its page:
captured + recoverable + written off = refunded + disputed + sellers + fee + tax + subscriptions + unapplied.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Protocol
from uuid import UUID

from payments.ledger.chart_of_accounts import (
    BANK,
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
from payments.models import Dispute, ForeignReceipt, Payment, Posting, Refund, WriteOff
from payments.states import DISPUTE_LOST, DISPUTE_UNDER_WAY, RefundStatus
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


def terms_of(books: Books, refunds: Sequence[Refund], disputes: Sequence[Dispute]) -> list[Term]:
    """The equation of one payment, in the currency it holds."""
    payment, currency = books.payment, books.payment.held_currency
    cash = _cash_flow(books, currency)
    suspense_minor = cash.balance_of(DISPUTE_SUSPENSE)
    disputed_minor = suspense_minor + cash.lost_minor
    refunded_minor = sum(one.booked_minor for one in refunds if one.booked_currency == currency and _is_paid_out(one))
    locations = Dispute.FundsLocation
    pairs = [
        ("captured", cash.received_minor, payment.received_minor),
        ("refunded", cash.returned_minor, refunded_minor),
        ("refunded (payment row)", cash.returned_minor, payment.refunded_minor),
        ("disputed", disputed_minor, payment.disputed_minor),
        ("in suspense", suspense_minor, _disputed_at(locations.SUSPENSE, disputes, currency)),
        ("lost to disputes", cash.lost_minor, _disputed_at(locations.BANK, disputes, currency)),
    ]
    shares = {
        "sellers": sum(amount for account, amount in cash.balances.items() if seller_of(account)),
        "platform fee": cash.balance_of(PLATFORM_FEE),
        "tax": cash.balance_of(TAX),
        "subscriptions": cash.balance_of(SUBSCRIPTION_INCOME),
        "unapplied": cash.balance_of(UNAPPLIED),
    }
    additions = {"recoverable": -cash.balance_of(RECOVERABLE), "written off": -cash.balance_of(DISPUTE_LOSS)}
    sources_minor = cash.received_minor + sum(additions.values())
    difference = sources_minor - cash.returned_minor - disputed_minor - sum(shares.values())
    terms = [Term(*pair, currency) for pair in pairs]
    terms += [Term(label, amount, None, currency) for label, amount in {**shares, **additions}.items()]
    return [*terms, Term("captured + recoverable - everything else", difference, 0, currency)]


def _disputed_at(location: str, disputes: Iterable[Dispute], currency: str) -> int:
    rows = (one for one in disputes if (one.booked_currency, one.funds_location) == (currency, location))
    return sum(one.booked_minor for one in rows)


def explain_payment(
    books: Books,
    receipts: Sequence[ForeignReceipt],
    refunds: Sequence[Refund],
    disputes: Sequence[Dispute],
    write_offs: Sequence[WriteOff],
) -> list[Fault]:
    """What is wrong with the postings of a payment, its refunds, its disputes and its write-offs."""
    payment = books.payment
    received_minor = {payment.held_currency: payment.received_minor}
    faults = _explain_receipts(payment, books.take(Kind.RECEIVED, payment.pk))
    for receipt in receipts:
        received_minor[receipt.currency] = receipt.received_minor
        faults += _explain_receipts(receipt, books.take(Kind.RECEIVED, receipt.pk))
    voided_minor: dict[str, int] = defaultdict(int)
    for refund in refunds:
        faults += _explain_refund(refund, books.take(Kind.REFUND, refund.pk), received_minor)
        if refund.source == Refund.Source.VOID:
            faults += _contradictions_of_void(refund, received_minor)
            voided_minor[refund.currency] += refund.amount_minor if _is_paid_out(refund) else 0
        elif refund.source == Refund.Source.BANK:
            faults += _contradictions_of_bank_refund(refund)
        elif _is_paid_out(refund) and not refund.hyperswitch_refund_id:
            amount = format_amount(refund.amount_minor, refund.currency)
            text = f"refund {refund.pk} of {amount} has no id at Hyperswitch: it is a void, or was never made"
            faults.append(Fault(text, refund.amount_minor, refund.currency))
    for currency, amount_minor in voided_minor.items():
        excess_minor = amount_minor - received_minor.get(currency, 0)
        if excess_minor > 0:
            text = f"{format_amount(excess_minor, currency)} more was voided than was received"
            faults.append(Fault(text, excess_minor, currency))
    for dispute in disputes:
        faults += _explain_dispute(dispute, books.take(Kind.DISPUTE, dispute.pk), received_minor)
    faults += _excessive_losses([*refunds, *disputes], write_offs)
    for write_off in write_offs:
        faults += _explain_write_off(write_off, books.take(Kind.WRITE_OFF, write_off.pk))
    return faults


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


def _explain_receipts(row: Payment | ForeignReceipt, entries: Sequence[Entry]) -> list[Fault]:
    """Each batch is numbered by the sum received so far, and posts what was new."""
    expected, before = [], 0
    currency = row.held_currency if isinstance(row, Payment) else row.currency
    for number in sorted({entry.number for entry in entries} | {row.received_minor} - {0}):
        amount = number - before
        expected.append(Entry(Kind.RECEIVED, row.pk, number, PSP_CLEARING, UNAPPLIED, amount, currency))
        before = number
    return faults_between(expected, entries)


def _is_paid_out(refund: Refund) -> bool:
    return refund.status == RefundStatus.SUCCEEDED


def _explain_refund(refund: Refund, entries: Sequence[Entry], received: Mapping[str, int]) -> list[Fault]:
    """Batches take turns: out to the buyer, back from the bank, out again; the last stands where the refund does.

    A refund in another currency went out in its own, and again in its payment's once that amount was known, or once
    Hyperswitch had corrected it: what went out in a currency comes back in it.
    """
    faults: list[Fault] = []
    out: list[tuple[str, int, str]] = []
    source_of_funds = BANK if refund.source == Refund.Source.BANK else PSP_CLEARING
    for nth, (_, lines) in enumerate(groupby(entries, key=lambda entry: entry.number)):
        batch = list(lines)
        is_out = nth % 2 == 0
        for entry in batch:
            account, funds = (entry.debit, entry.credit) if is_out else (entry.credit, entry.debit)
            if funds != source_of_funds:
                faults.append(entry.fault("posted and not true"))
            elif is_out:
                continue
            elif (account, entry.amount_minor, entry.currency) not in out:
                faults.append(entry.fault("returned otherwise than it went out"))
        if not is_out and len(batch) != len(out):
            faults += [batch[0].fault("returned in part")]
        out = [(entry.debit, entry.amount_minor, entry.currency) for entry in batch] if is_out else []
    accounts = refund.allocation.items() if _is_paid_out(refund) else ()
    target = sorted((account, amount, refund.booked_currency) for account, amount in accounts)
    if sorted(out) != target:
        amount = format_amount(refund.booked_minor, refund.booked_currency)
        text = (
            f"refund {refund.pk} of {amount} is {refund.status}: {target or 'nothing'} should have gone out by its "
            f"last posting and {sorted(out) or 'nothing'} has"
        )
        faults.append(Fault(text, refund.booked_minor, refund.booked_currency))
    if target and sum(refund.allocation.values()) != refund.booked_minor:
        amount = format_amount(refund.booked_minor, refund.booked_currency)
        text = f"refund {refund.pk}: its allocation does not add up to {amount}"
        faults.append(Fault(text, refund.booked_minor, refund.booked_currency))
    return faults + _explain_conversion(refund, entries, received)


def _explain_conversion(row: Refund | Dispute, entries: Iterable[Entry], received: Mapping[str, int]) -> list[Fault]:
    """Only an amount in another currency is converted, with all it was posted with before; one that is not takes from
    no share, but from what was received in its own (`received`: {currency: minor units}).
    """
    held_currency = row.payment.held_currency
    batches = len({entry.number for entry in entries})
    if row.converted_minor is not None and batches != row.posting_batches:
        amount = format_amount(row.amount_minor, row.currency)
        text = (
            f"{row._meta.verbose_name} {row.pk} of {amount}: {batches} of its {row.posting_batches} batches are posted"
        )
        return [Fault(text, row.amount_minor, row.currency)]
    if row.converted_minor is not None and row.currency == held_currency:
        text = f"{row._meta.verbose_name} {row.pk}: its amount was converted, and is in {held_currency} itself"
        return [Fault(text, row.converted_minor, held_currency)]
    own_accounts = {RECOVERABLE, UNAPPLIED} if row.booked_currency in received else {RECOVERABLE}
    if row.booked_currency == held_currency or set(row.allocation) <= own_accounts:
        return []
    if isinstance(row, Refund) and not _is_paid_out(row):
        return []
    text = (
        f"{row._meta.verbose_name} {row.pk}: {format_amount(row.amount_minor, row.currency)} takes from shares in "
        f"{held_currency}, and its amount in {held_currency} is not known"
    )
    return [Fault(text, row.amount_minor, row.currency)]


def _contradictions_of_void(void: Refund, received: Mapping[str, int]) -> list[Fault]:
    """A void happened at the provider: it is true or mirrored, in the currency received, and Veza never sent it."""
    what = f"void {void.pk} of {format_amount(void.amount_minor, void.currency)}"
    texts = []
    if void.status not in (RefundStatus.SUCCEEDED, RefundStatus.BOUNCED):
        texts.append(f"{what} is {void.status}: it is either true or mirrored")
    if void.first_sent_at is not None or void.hyperswitch_refund_id is not None:
        texts.append(f"{what} was sent to Hyperswitch as a refund: the buyer was paid twice")
    if void.currency not in received:
        texts.append(f"{what} is not in {' or '.join(received)}, which was received")
    return [Fault(text, void.amount_minor, void.currency) for text in texts]


def _contradictions_of_bank_refund(refund: Refund) -> list[Fault]:
    """We paid it ourselves, under the bank's reference: Hyperswitch was never asked for it."""
    what = f"bank refund {refund.pk} of {format_amount(refund.amount_minor, refund.currency)}"
    texts = []
    if refund.status not in (RefundStatus.SUCCEEDED, RefundStatus.BOUNCED):
        texts.append(f"{what} is {refund.status}: it is either paid or returned")
    if refund.first_sent_at is not None or refund.hyperswitch_refund_id is not None:
        texts.append(f"{what} was sent to Hyperswitch as well: the buyer was paid twice")
    if not refund.bank_reference:
        texts.append(f"{what} names no transfer of our bank")
    return [Fault(text, refund.amount_minor, refund.currency) for text in texts]


def location_for(dispute: Dispute) -> Dispute.FundsLocation:
    """Where a dispute's money must be, by the bank's decision."""
    if dispute.stage == "pre_dispute":
        return Dispute.FundsLocation.NOWHERE
    if dispute.status in DISPUTE_LOST:
        return Dispute.FundsLocation.BANK
    return Dispute.FundsLocation.SUSPENSE if dispute.status in DISPUTE_UNDER_WAY else Dispute.FundsLocation.NOWHERE


def _explain_dispute(dispute: Dispute, entries: Sequence[Entry], received: Mapping[str, int]) -> list[Fault]:
    """Over all its batches a dispute takes its allocation, and holds it where the bank's decision says."""
    location = location_for(dispute)
    expected: dict[tuple[str, str], int] = defaultdict(int)
    if location != Dispute.FundsLocation.NOWHERE:
        for account, amount in dispute.allocation.items():
            expected[account, dispute.booked_currency] -= amount
        holder = DISPUTE_SUSPENSE if location == Dispute.FundsLocation.SUSPENSE else PSP_CLEARING
        expected[holder, dispute.booked_currency] += dispute.booked_minor
    actual: dict[tuple[str, str], int] = defaultdict(int)
    for entry in entries:
        actual[entry.debit, entry.currency] -= entry.amount_minor
        actual[entry.credit, entry.currency] += entry.amount_minor
    faults = _explain_conversion(dispute, entries, received)
    allocation_currency = dispute.booked_currency if dispute.funds_location else ""
    if dispute.allocation_currency != allocation_currency:
        text = (
            f"dispute {dispute.pk}: its row says that it is posted in {dispute.allocation_currency or 'no currency'}, "
            f"and it should be in {allocation_currency or 'none'}"
        )
        faults.append(Fault(text, dispute.booked_minor, dispute.booked_currency))
    return faults + [
        Fault(
            f"dispute {dispute.pk} is {dispute.status}: it should have moved {format_amount(expected[key], key[1])} "
            f"to {key[0]} and has moved {format_amount(actual[key], key[1])}",
            abs(expected[key] - actual[key]),
            key[1],
        )
        for key in sorted({*expected, *actual})
        if expected[key] != actual[key]
    ]


def _excessive_losses(rows: Iterable[Refund | Dispute], write_offs: Sequence[WriteOff]) -> list[Fault]:
    """Of a refund or dispute, no more is our loss than it takes beyond its payment now, in the currency in which it is
    booked; and what was recoverable is lost for a refund or dispute of this payment.
    """
    losses_minor: dict[tuple[UUID, str], int] = defaultdict(int)
    for write_off in write_offs:
        losses_minor[write_off.subject_id, write_off.currency] += write_off.lost_minor
    own = {row.pk: row for row in rows}
    faults = [
        Fault(
            f"write-off {one.pk} of {format_amount(one.lost_minor, one.currency)} is for nothing of this payment",
            one.amount_minor,
            one.currency,
        )
        for one in write_offs
        if one.account_id == RECOVERABLE and one.subject_id not in own
    ]
    for (subject_id, currency), lost_minor in losses_minor.items():
        if (row := own.get(subject_id)) is None:
            continue
        is_out = location_for(row) if isinstance(row, Dispute) else _is_paid_out(row)
        excess_minor = row.allocation.get(RECOVERABLE, 0) if is_out and row.booked_currency == currency else 0
        if lost_minor > excess_minor:
            loss, excess = (format_amount(amount, currency) for amount in (lost_minor, excess_minor))
            text = f"{row._meta.verbose_name} {row.pk}: {loss} of it is written off, and {excess} of it is recoverable"
            faults.append(Fault(text, lost_minor - excess_minor, currency))
    return faults


def _explain_write_off(write_off: WriteOff, entries: Sequence[Entry]) -> list[Fault]:
    """The loss once, and its recoveries in numbered batches."""
    loss = Entry(
        Kind.WRITE_OFF,
        write_off.pk,
        0,
        DISPUTE_LOSS,
        write_off.account_id,
        write_off.amount_minor,
        write_off.currency,
    )
    faults = faults_between([loss], [entry for entry in entries if entry.number == 0])
    recoveries = [entry for entry in entries if entry.number > 0]
    for entry in recoveries:
        sides = (entry.debit, entry.credit, entry.currency)
        if sides != (write_off.account_id, DISPUTE_LOSS, write_off.currency) or entry.number > write_off.recoveries:
            faults.append(entry.fault("posted and not true"))
    recovered_minor = sum(entry.amount_minor for entry in recoveries)
    if recovered_minor != write_off.recovered_minor:
        text = (
            f"write-off {write_off.pk}: {format_amount(recovered_minor, write_off.currency)} is posted as recovered "
            f"and its row says {format_amount(write_off.recovered_minor, write_off.currency)}"
        )
        faults.append(Fault(text, abs(recovered_minor - write_off.recovered_minor), write_off.currency))
    return faults


@dataclass(frozen=True)
class _CashFlow:
    """What came in through Hyperswitch, what went out there and from our bank account, and each account's balance
    before payouts to sellers.
    """

    received_minor: int
    returned_minor: int
    lost_minor: int
    balances: Mapping[str, int]

    def balance_of(self, account: str) -> int:
        return self.balances.get(account, 0)


def _cash_flow(books: Books, currency: str) -> _CashFlow:
    received_minor = returned_minor = lost_minor = 0
    balances: dict[str, int] = defaultdict(int)
    for entry in books.all_entries():
        if entry.currency != currency or STRIPE_BALANCE in (entry.debit, entry.credit):
            continue  # A transfer to a seller does not change whose money it is.
        balances[entry.debit] -= entry.amount_minor
        balances[entry.credit] += entry.amount_minor
        if not {entry.debit, entry.credit} & {PSP_CLEARING, BANK}:
            continue
        outflow_minor = entry.amount_minor if entry.credit in (PSP_CLEARING, BANK) else -entry.amount_minor
        if entry.kind == Kind.RECEIVED:
            received_minor -= outflow_minor
        elif entry.kind == Kind.DISPUTE:
            lost_minor += outflow_minor
        else:
            returned_minor += outflow_minor
    return _CashFlow(received_minor, returned_minor, lost_minor, balances)
