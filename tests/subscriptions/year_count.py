"""What a simulated year should come to, counted from the calendar alone: apart from the code under test."""

from calendar import monthrange
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction

from tests.subscriptions.subscribing import NOW, days

YEAR, TRIAL = 365, 14
LAST_AT = NOW + days(YEAR - 1)
PRICE, NEW_PRICE, YEARLY = 10_00, 15_00, 100_00
REMINDED = days(3)
CANCELS_AFTER, DIES_AFTER, FAILS_AFTER = days(100), days(80), days(130)
# The renewals for which the bank wants its customer, and how long they take to pay on the page.
ASKED_AT_RENEWAL, EVERY_TENTH, PAYS_AFTER = 5, 10, days(3)
DISPUTES_AFTER, REPLACES_AFTER, LEAVES_AT_RENEWAL, UPGRADES_AFTER = days(100), days(100), 3, days(100)
# Prices are announced on one day, and may apply a month later; one is withdrawn.
ANNOUNCED_AT, WITHDRAWN_AT, NOTICE = NOW + days(60), NOW + days(70), days(30)
LEAVES_FOR_A_PRICE_AT, JOINS_AFTER = NOW + days(65), days(75)
EXPIRES, EXPIRES_AT = "08/2026", datetime(2026, 8, 31, 23, tzinfo=NOW.tzinfo)


@dataclass
class Subscriber:
    """`number` makes those of one kind differ: in the day on which they leave."""

    kind: str
    number: int

    @property
    def starts_at(self) -> datetime:
        return NOW + days(self.number % 28)

    @property
    def leaves_at(self) -> datetime:
        return self.starts_at + days(1 + self.number * 11 % 300)

    @property
    def leaves_now(self) -> bool:
        return self.number % 2 == 1


@dataclass
class Count:
    """Paid invoices and their price; other invoices, charges and payments that failed; what is returned; e-mails."""

    paid: int = 0
    net_minor: int = 0
    tax_minor: int = 0
    failed: int = 0
    void: int = 0
    failures: int = 0
    returned_minor: int = 0
    active: int = 0
    emails: Counter[str] = field(default_factory=Counter)


def months_later(start: datetime, months: int) -> datetime:
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    return start.replace(year=year, month=month + 1, day=min(start.day, monthrange(year, month + 1)[1]))


def starts_between(start_at: datetime, first_at: datetime, last_at: datetime) -> int:
    """How many monthly periods of a subscription since `start_at` begin from `first_at` to `last_at`, both included."""
    return sum(first_at <= months_later(start_at, number) <= last_at for number in range(14))


def count_of(person: Subscriber) -> Count:
    """What one subscriber comes to."""
    return _KINDS[person.kind](person)


def _monthly(start_at: datetime, until: datetime = LAST_AT, *, dearer_from: datetime | None = None) -> Count:
    """Who pays every month until then: each period has a receipt, and each end within the year was reminded of."""
    paid = starts_between(start_at, start_at, until)
    dear = starts_between(start_at, dearer_from, until) if dearer_from else 0
    net = (paid - dear) * PRICE + dear * NEW_PRICE
    ends = sum(start_at < months_later(start_at, number) <= LAST_AT + REMINDED for number in range(1, paid + 1))
    return Count(paid, net, net // 5, active=1, emails=Counter(invoice_receipt=paid, renewal_announced=ends))


def _with(count: Count, *, failures: int = 0, **emails: int) -> Count:
    count.failures += failures
    count.emails.update(emails)
    return count


def _unpaid_from(person: Subscriber, after: timedelta, *, charges: int, told: int = 1) -> Count:
    """Whose first renewal after that is not paid."""
    count = _monthly(person.starts_at, person.starts_at + after)
    count.active, count.failed = 0, 1
    return _with(count, failures=charges, renewal_failed=told, subscription_ended=1)


def _leaving(start_at: datetime, leaves_at: datetime, *, now: bool) -> Count:
    """Who leaves before the renewal of that day, or with the period that is paid then."""
    count = _monthly(start_at, leaves_at - days(1))
    end_at = months_later(start_at, count.paid)
    is_reminded = end_at - REMINDED < leaves_at
    count.emails["renewal_announced"] = count.paid - (not is_reminded)
    count.active = 0 if now or end_at <= LAST_AT else 1
    return _with(count, subscription_ended=1 - count.active)


def _loyal(person: Subscriber) -> Count:
    return _with(_monthly(person.starts_at), failures=1, renewal_failed=1)  # Every tenth renewal is confirmed.


def _yearly(person: Subscriber) -> Count:
    reminded = months_later(person.starts_at, 12) - REMINDED <= LAST_AT
    emails = Counter(invoice_receipt=1, renewal_announced=int(reminded))
    return Count(1, YEARLY, YEARLY // 5, active=1, emails=emails)


def _trial(person: Subscriber) -> Count:
    return _with(_monthly(person.starts_at + days(TRIAL + 1)), renewal_failed=1, renewal_announced=1)


def _in_flight(person: Subscriber) -> Count:
    """Who leaves while a renewal is charged: that charge is returned."""
    count = _leaving(person.starts_at, months_later(person.starts_at, LEAVES_AT_RENEWAL), now=True)
    count.void, count.returned_minor = 1, PRICE + PRICE // 5
    return count


def _priced(person: Subscriber) -> Count:
    """Whose free plan gets a price: the first period that costs is paid on a page."""
    from_at = ANNOUNCED_AT + NOTICE
    paid = starts_between(person.starts_at, from_at, LAST_AT)
    reminded = starts_between(person.starts_at, from_at, LAST_AT + REMINDED)
    net = paid * NEW_PRICE
    emails = Counter(invoice_receipt=paid, renewal_announced=reminded, renewal_failed=1, price_change_announced=1)
    return Count(paid, net, net // 5, active=1, emails=emails)


def _upgrading(person: Subscriber) -> Count:
    """Who upgrades to a year: the rest of the month is credited, by largest remainder."""
    at = person.starts_at + UPGRADES_AFTER
    count = _monthly(person.starts_at, at)
    count.emails["renewal_announced"] = sum(
        months_later(person.starts_at, number) - REMINDED <= at for number in range(1, count.paid + 1)
    )
    start_at, end_at = months_later(person.starts_at, count.paid - 1), months_later(person.starts_at, count.paid)
    rest = Fraction((end_at - at) // days(1), (end_at - start_at) // days(1))
    count.net_minor += YEARLY - _part(PRICE, rest)
    count.tax_minor += YEARLY // 5 - _part(PRICE // 5, rest)
    count.paid += 1
    return _with(count, invoice_receipt=1)


def _part(amount_minor: int, share: Fraction) -> int:
    """The second part of an amount that is divided in two by largest remainder; a tie goes to the first."""
    exact = amount_minor * share
    return int(exact) + (exact % 1 > Fraction(1, 2))


_RAISED_FROM = ANNOUNCED_AT + NOTICE
_KINDS: dict[str, Callable[[Subscriber], Count]] = {
    "loyal": _loyal,
    "yearly": _yearly,
    "free": lambda _: Count(active=1),
    "trial": _trial,
    "cancels": lambda person: _leaving(person.starts_at, person.starts_at + CANCELS_AFTER, now=False),
    # At once, then after 1, 3 and 5 days.
    "card dies": lambda person: _unpaid_from(person, DIES_AFTER, charges=4, told=4),
    "card fails once": lambda person: _with(_monthly(person.starts_at), failures=1, renewal_failed=1),
    "bank asks": lambda person: _with(_monthly(person.starts_at), failures=1, renewal_failed=1),
    "card is stolen": lambda person: _unpaid_from(person, DIES_AFTER, charges=1),
    "disputes": lambda person: _unpaid_from(person, DISPUTES_AFTER, charges=0),
    "leaves in between": _in_flight,
    "replaces card": lambda person: _with(_monthly(person.starts_at), renewal_failed=1),
    "card expires": lambda person: _with(_monthly(person.starts_at), failures=1, renewal_failed=1, card_expires=1),
    "leaves": lambda person: _leaving(person.starts_at, person.leaves_at, now=person.leaves_now),
    "is told of a raise": lambda person: _with(
        _monthly(person.starts_at, dearer_from=_RAISED_FROM), price_change_announced=1
    ),
    "leaves for a raise": lambda person: _with(
        _leaving(person.starts_at, LEAVES_FOR_A_PRICE_AT, now=False), price_change_announced=1
    ),
    "joins later": lambda person: _monthly(person.starts_at + JOINS_AFTER, dearer_from=NOW),
    "is spared a raise": lambda person: _with(
        _monthly(person.starts_at), price_change_announced=1, price_change_withdrawn=1
    ),
    "gets a price": _priced,
    "upgrades": _upgrading,
}
KINDS = tuple(_KINDS)
