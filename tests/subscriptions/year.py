"""A year of subscribers with a moving clock, and what it should come to, counted apart from the code under test."""

from calendar import monthrange
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Sum

from payments.models import Payment, Posting, Refund
from payments.reconciliation.refresh import advance_payment
from subscriptions.changes import cancel
from subscriptions.models import Plan, Subscription, SubscriptionInvoice
from subscriptions.payment_methods import forget_for_replacement
from subscriptions.renewals import open_renewal, run_due
from tests.buying import deliver_dispute
from tests.subscriptions.subscribing import (
    BY_USER,
    NOW,
    SWEEP,
    PlanFactory,
    complete,
    days,
    deliver_update,
    free_plan,
    last_payment,
    press_button,
    set_charge_outcome,
    subscribe,
)
from veza.core.models import Email

YEAR = 365
TRIAL = 14
# Of fifteen subscribers: four are loyal, and one each is of the other kinds.
KINDS = (
    *("loyal", "loyal", "loyal", "loyal", "yearly", "free", "trial", "cancels", "card dies", "card fails once"),
    *("bank asks", "card is stolen", "disputes", "leaves in between", "replaces card"),
)
CANCELS_AFTER, DIES_AFTER, FAILS_AFTER = days(100), days(80), days(130)
# The renewal for which the bank of "bank asks" wants its customer, and how long they take to pay on the page.
ASKED_AT_RENEWAL, PAYS_AFTER = 5, days(3)
DISPUTES_AFTER, REPLACES_AFTER, LEAVES_AT_RENEWAL = days(100), days(100), 3


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
    reported_failures: int
    returned_minor: int


@dataclass
class Count:
    """What one subscriber comes to: paid periods, invoices that failed, charges that failed, e-mails about those."""

    months: int = 0
    years: int = 0
    failed: int = 0
    failures: int = 0
    told: int = 0
    active: int = 0
    left: int = 0  # with a charge in flight, which is returned


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
        self._meet_trouble(person, subscription, at)
        if person.kind == "card fails once" and since > FAILS_AFTER:
            subscription.refresh_from_db()
            if subscription.status == "past_due":
                set_charge_outcome(self._sandbox, "succeeded", subscription)

    def _meet_trouble(self, person: Subscriber, subscription: Subscription, at: datetime) -> None:
        since = at - person.starts_at
        match person.kind:
            case "bank asks" if at == _months_later(person.starts_at, ASKED_AT_RENEWAL) - days(1):
                set_charge_outcome(self._sandbox, "requires_customer_action", subscription)
            case "bank asks" if at == _months_later(person.starts_at, ASKED_AT_RENEWAL) + PAYS_AFTER:
                self._pay(subscription, at)
                set_charge_outcome(self._sandbox, "succeeded", subscription)
            case "card is stolen" if since == DIES_AFTER:
                customer = f"customers/cus_{subscription.user_id.hex}"
                self._sandbox.control(customer, off_session_outcome="failed", error_code="stolen_card")
            case "disputes" if since == DISPUTES_AFTER:
                deliver_dispute(last_payment(subscription), "opened", dispute_id=f"dp_{subscription.pk.hex}")
            case "leaves in between" if at == _months_later(person.starts_at, LEAVES_AT_RENEWAL):
                self._leave_with_a_charge_in_flight(subscription, at)
            case "replaces card" if since == REPLACES_AFTER:
                forget_for_replacement(user_id=subscription.user_id, at=at)
            case "replaces card" if at == _months_later(person.starts_at, 4) + PAYS_AFTER:
                self._pay(subscription, at)

    def _pay(self, subscription: Subscription, at: datetime) -> None:
        complete(subscription, at=at)
        press_button(self._sandbox, "pay", subscription, at=at)

    def _leave_with_a_charge_in_flight(self, subscription: Subscription, at: datetime) -> None:
        """The renewal is charged and its answer lost; they leave, and the worker asks for the payment again."""
        self._sandbox.fault("drop", "^/payments", method="POST", when="after")
        run_due(subscription.pk, cause=SWEEP, at=at)
        cancel(user_id=subscription.user_id, now=True, cause=BY_USER, at=at)
        advance_payment(last_payment(subscription), cause=SWEEP)

    def _start(self, person: Subscriber, at: datetime) -> None:
        person.subscription = subscribe(self._plan_of(person.kind), at=at)
        if person.subscription.status == "pending_payment":
            press_button(self._sandbox, "pay", person.subscription, at=at)

    def _plan_of(self, kind: str) -> Plan:
        return {"yearly": self._yearly, "free": self._free, "trial": self._trial}.get(kind, self._monthly)

    def expected(self) -> Outcome:
        """Counted from the calendar alone."""
        last_at = NOW + days(YEAR - 1)
        counts = [_count_of(person, last_at) for person in self.people]
        months, years, failed, left = (
            sum(getattr(count, name) for count in counts) for name in ("months", "years", "failed", "left")
        )
        income = months * 10_00 + years * 100_00
        total, returned = income + income // 5, left * 12_00
        invoices = {"void": left, "paid": months + years, "failed": failed}
        return Outcome(
            invoices={status: count for status, count in invoices.items() if count},
            active=sum(count.active for count in counts),
            income_minor=income,
            tax_minor=income // 5,
            captured_minor=total + returned,
            charges=months + years + left + sum(count.failures for count in counts),
            reported_failures=sum(count.told for count in counts),
            returned_minor=returned,
        )

    def actual(self) -> Outcome:
        """Read from our rows, our ledger, and the provider."""
        statuses = SubscriptionInvoice.objects.values_list("status", flat=True)
        movements = self._sandbox.truth()["movements"]
        return Outcome(
            invoices={status: list(statuses).count(status) for status in sorted(set(statuses), reverse=True)},
            active=Subscription.objects.filter(status="active").count(),
            income_minor=_credited("subscription_income"),
            tax_minor=_credited("tax"),
            captured_minor=sum(one["amount"] for one in movements if one["kind"] == "payment"),
            charges=Payment.objects.count(),
            reported_failures=Email.objects.filter(message="renewal_failed").count(),
            returned_minor=Refund.objects.aggregate(total=Sum("amount_minor"))["total"] or 0,
        )


def _count_of(person: Subscriber, last_at: datetime) -> Count:
    starts_at, after_trial = person.starts_at, person.starts_at + days(TRIAL + 1)
    whole = periods(starts_at, last_at)
    until_it_dies = periods(starts_at, starts_at + DIES_AFTER)
    return {
        "loyal": Count(months=whole, active=1),
        "yearly": Count(years=1, active=1),
        "free": Count(active=1),
        "trial": Count(months=periods(after_trial, last_at), told=1, active=1),
        "cancels": Count(months=periods(starts_at, starts_at + CANCELS_AFTER)),
        # At once, then after 1, 3 and 5 days.
        "card dies": Count(months=until_it_dies, failed=1, failures=4, told=4),
        "card fails once": Count(months=whole, failures=1, told=1, active=1),
        "bank asks": Count(months=whole, failures=1, told=1, active=1),
        "card is stolen": Count(months=until_it_dies, failed=1, failures=1, told=1),
        "disputes": Count(months=periods(starts_at, starts_at + DISPUTES_AFTER), failed=1, told=1),
        "leaves in between": Count(months=LEAVES_AT_RENEWAL, left=1),
        "replaces card": Count(months=whole, told=1, active=1),
    }[person.kind]


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
