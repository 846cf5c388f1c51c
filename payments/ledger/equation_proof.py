"""The equation of one payment, for its page, and what each term of it must be by the rows.

captured + recoverable + written off = refunded + disputed + sellers + fee + tax + subscriptions + unapplied.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

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
from payments.ledger.proof import Books, Term, is_paid_out
from payments.models import Dispute, Posting, Refund

Kind = Posting.Kind


def terms_of(books: Books, refunds: Sequence[Refund], disputes: Sequence[Dispute]) -> list[Term]:
    """The equation of one payment, in the currency it holds."""
    payment, currency = books.payment, books.payment.held_currency
    cash = _cash_flow(books, currency)
    suspense_minor = cash.balance_of(DISPUTE_SUSPENSE)
    disputed_minor = suspense_minor + cash.lost_minor
    refunded_minor = sum(one.booked_minor for one in refunds if one.booked_currency == currency and is_paid_out(one))
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
