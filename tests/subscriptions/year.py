"""A year of subscribers with a moving clock, and what it should come to, counted apart from the code under test."""

from calendar import monthrange
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Sum

from payments.models import Payment, Posting
from subscriptions.changes import cancel
from subscriptions.models import Plan, Subscription, SubscriptionInvoice
from subscriptions.renewals import open_renewal, run_due
from tests.subscriptions.subscribing import (
    BY_USER,
    NOW,
    SWEEP,
    PlanFactory,
    complete,
    days,
    deliver_update,
    free_plan,
    press_button,
    set_charge_outcome,
    subscribe,
)

YEAR = 365
TRIAL = 14
# Of ten subscribers: four are loyal, and one each is of the other kinds.
KINDS = ("loyal", "loyal", "loyal", "loyal", "yearly", "free", "trial", "cancels", "card dies", "card fails once")
CANCELS_AFTER, DIES_AFTER, FAILS_AFTER = days(100), days(80), days(130)


@dataclass
class Subscriber:
    kind: str
    starts_at: datetime
    subscription: Subscription | None = None


@dataclass
class Outcome:
    """What the year came to, in rows and minor units; `captured_minor` is the provider's own truth."""

    invoices: dict[str, int]
    active: int
    income_minor: int
    tax_minor: int
    captured_minor: int
    charges: int


class Year:
    def __init__(self, sandbox, subscribers: int) -> None:
        self._sandbox = sandbox
        self._monthly = PlanFactory(name="Monthly", trial_days=0)
        self._yearly = PlanFactory(name="Yearly", price_minor=100_00, interval="year")
        self._trial = PlanFactory(name="Monthly after a trial", trial_days=TRIAL)
        self._free = free_plan(name="Free")
        self.people = [
            Subscriber(KINDS[number % len(KINDS)], NOW + days(number // len(KINDS) % 28))
            for number in range(subscribers)
        ]

    def run(self) -> None:
        """Day after day: subscribers act, the sweep runs twice, Hyperswitch reports."""
        for day in range(YEAR):
            at = NOW + days(day)
            for person in self.people:
                self._act(person, at)
            for key in list(Subscription.objects.filter(due_at__lte=at).values_list("pk", flat=True)):
                run_due(key, cause=SWEEP, at=at)
                assert open_renewal(key, cause=SWEEP, at=at) is None, "a second sweep opens no second charge"
            for payment in Payment.objects.filter(status="pending", off_session=True):
                deliver_update(payment, at=at)

    def _act(self, person: Subscriber, at: datetime) -> None:
        if at == person.starts_at:
            self._start(person, at)
            return
        subscription = person.subscription
        if subscription is None:
            return
        since = at - person.starts_at
        match person.kind:
            case "trial" if since == days(TRIAL + 1):
                complete(subscription, at=at)
                press_button(self._sandbox, "pay", subscription, at=at)
            case "cancels" if since == CANCELS_AFTER:
                cancel(user_id=subscription.user_id, now=False, cause=BY_USER, at=at)
            case "card dies" if since == DIES_AFTER:
                set_charge_outcome(self._sandbox, "failed", subscription)
            case "card fails once" if since == FAILS_AFTER:
                set_charge_outcome(self._sandbox, "failed", subscription)
        if person.kind == "card fails once" and since > FAILS_AFTER:
            subscription.refresh_from_db()
            if subscription.status == "past_due":
                set_charge_outcome(self._sandbox, "succeeded", subscription)

    def _start(self, person: Subscriber, at: datetime) -> None:
        person.subscription = subscribe(self._plan_of(person.kind), at=at)
        if person.subscription.status == "pending_payment":
            press_button(self._sandbox, "pay", person.subscription, at=at)

    def _plan_of(self, kind: str) -> Plan:
        return {"yearly": self._yearly, "free": self._free, "trial": self._trial}.get(kind, self._monthly)

    def expected(self) -> Outcome:
        """Counted from the calendar alone."""
        last_at = NOW + days(YEAR - 1)
        months = years = failed = active = failures = 0
        for person in self.people:
            starts_at = person.starts_at
            match person.kind:
                case "loyal" | "card fails once":
                    months += periods(starts_at, last_at)
                    failures += person.kind == "card fails once"
                    active += 1
                case "trial":
                    months += periods(starts_at + days(TRIAL + 1), last_at)
                    active += 1
                case "cancels":
                    months += periods(starts_at, starts_at + CANCELS_AFTER)
                case "card dies":
                    months += periods(starts_at, starts_at + DIES_AFTER)
                    failed += 1
                    failures += 4  # At once, then after 1, 3 and 5 days.
                case "yearly":
                    years += 1
                    active += 1
                case "free":
                    active += 1
        income = months * 10_00 + years * 100_00
        invoices = {"paid": months + years} | ({"failed": failed} if failed else {})
        return Outcome(invoices, active, income, income // 5, income + income // 5, months + years + failures)

    def actual(self) -> Outcome:
        """Read from our rows, our ledger, and the provider."""
        statuses = SubscriptionInvoice.objects.values_list("status", flat=True)
        movements = self._sandbox.truth()["movements"]
        return Outcome(
            invoices={status: list(statuses).count(status) for status in sorted(set(statuses), reverse=True)},
            active=Subscription.objects.filter(status="active").count(),
            income_minor=_credited("subscription_income"),
            tax_minor=_credited("tax"),
            captured_minor=sum(one["amount"] for one in movements),
            charges=Payment.objects.count(),
        )


def periods(starts_at: datetime, last_at: datetime) -> int:
    """How many monthly periods begin from `starts_at` to `last_at`, both included."""
    number = 0
    while _months_later(starts_at, number) <= last_at:
        number += 1
    return number


def _months_later(start: datetime, months: int) -> datetime:
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    return start.replace(year=year, month=month + 1, day=min(start.day, monthrange(year, month + 1)[1]))


def _credited(account: str) -> int:
    return Posting.objects.filter(credit=account).aggregate(total=Sum("amount_minor"))["total"] or 0
