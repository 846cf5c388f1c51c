"""A year of subscribers with a moving clock; `year_count` says apart from it what it should come to."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Sum

from payments.models import Payment, Posting, Refund
from payments.reconciliation.refresh import advance_payment
from subscriptions.changes import cancel
from subscriptions.models import Plan, PriceChange, Subscription, SubscriptionInvoice
from subscriptions.payment_methods import forget_for_replacement
from subscriptions.price_changes import announce, tell_subscribers, withdraw
from subscriptions.renewals import open_renewal, run_due
from tests.buying import deliver_dispute
from tests.subscriptions.repricing import BY_STAFF, next_version, send_emails
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
from tests.subscriptions.upgrading import upgrade
from tests.subscriptions.year_count import (
    ANNOUNCED_AT,
    ASKED_AT_RENEWAL,
    CANCELS_AFTER,
    DIES_AFTER,
    DISPUTES_AFTER,
    EVERY_TENTH,
    EXPIRES,
    EXPIRES_AT,
    FAILS_AFTER,
    JOINS_AFTER,
    KINDS,
    LEAVES_AT_RENEWAL,
    LEAVES_FOR_A_PRICE_AT,
    NEW_PRICE,
    PAYS_AFTER,
    REPLACES_AFTER,
    TRIAL,
    UPGRADES_AFTER,
    WITHDRAWN_AT,
    YEAR,
    YEARLY,
    Count,
    Subscriber,
    count_of,
    months_later,
)
from veza.core.ids import new_id
from veza.core.models import Email


@dataclass
class Outcome:
    """What the year came to, in rows, e-mails and minor units; `captured_minor` is the provider's own truth."""

    invoices: dict[str, int]
    active: int
    income_minor: int
    tax_minor: int
    captured_minor: int
    charges: int
    returned_minor: int
    emails: dict[str, int]


class Year:
    """`subscribers` of all kinds in turn."""

    def __init__(self, sandbox, subscribers: int = len(KINDS)) -> None:
        self._sandbox = sandbox
        self._monthly = PlanFactory(name="Monthly")
        self._plans = {
            "yearly": PlanFactory(name="Yearly", price_minor=YEARLY, interval="year"),
            "trial": PlanFactory(name="Monthly after a trial", trial_days=TRIAL),
            "free": free_plan(name="Free"),
            "gets a price": free_plan(name="Free at first"),
            "is spared a raise": PlanFactory(name="Spared"),
        }
        rising = PlanFactory(name="Rising")
        self._plans |= dict.fromkeys(("is told of a raise", "leaves for a raise", "joins later"), rising)
        self.people = [Subscriber(KINDS[number % len(KINDS)], number // len(KINDS)) for number in range(subscribers)]
        self._subscriptions: dict[int, Subscription] = {}

    def run(self) -> None:
        """Day after day: staff and subscribers act, e-mails leave, the sweep runs twice, Hyperswitch reports."""
        for day in range(YEAR):
            at = NOW + days(day)
            self._act_as_staff(at)
            for number, person in enumerate(self.people):
                self._act(number, person, at)
            for change in PriceChange.objects.filter(due_at__lte=at):
                tell_subscribers(change.pk, cause=SWEEP, at=at)
            send_emails(at=at)
            for key in list(Subscription.objects.filter(due_at__lte=at).values_list("pk", flat=True)):
                run_due(key, cause=SWEEP, at=at)
                assert open_renewal(key, cause=SWEEP, at=at) is None, "a second sweep opens no second charge"
            for payment in Payment.objects.filter(status="pending", off_session=True):
                deliver_update(payment, at=at)

    def _act_as_staff(self, at: datetime) -> None:
        """Prices change for new subscribers; three are announced to the others, and one of these is withdrawn."""
        if at == ANNOUNCED_AT:
            next_version(self._monthly, 99_00)
            next_version(self._plans["trial"], 99_00, trial_days=TRIAL)
            for kind in ("is told of a raise", "is spared a raise", "gets a price"):
                next_version(self._plans[kind], NEW_PRICE)
                announce(price_change_id=new_id(), plan_id=self._plans[kind].pk, cause=BY_STAFF, at=at)
        elif at == WITHDRAWN_AT:
            change = PriceChange.objects.get(plan=self._plans["is spared a raise"])
            withdraw(price_change_id=change.pk, cause=BY_STAFF, at=at)

    def _act(self, number: int, person: Subscriber, at: datetime) -> None:
        if at == person.starts_at + (JOINS_AFTER if person.kind == "joins later" else days(0)):
            self._subscriptions[number] = self._start(person, at)
        elif subscription := self._subscriptions.get(number):
            self._change(person, subscription, at)
            self._fail(person, subscription, at)
            self._meet_trouble(person, subscription, at)

    def _start(self, person: Subscriber, at: datetime) -> Subscription:
        plan = self._plans.get(person.kind, self._monthly)
        if person.kind == "joins later":
            plan = Plan.objects.get(name=plan.name, active=True)
        subscription = subscribe(plan, at=at)
        if person.kind == "card expires":
            self._sandbox.control(f"customers/cus_{subscription.user_id.hex}", card_expires=EXPIRES)
        if subscription.status == "pending_payment":
            press_button(self._sandbox, "pay", subscription, at=at)
        return subscription

    def _change(self, person: Subscriber, subscription: Subscription, at: datetime) -> None:
        """What subscribers decide: leaving, another card, another plan."""
        since, user_id = at - person.starts_at, subscription.user_id
        match person.kind:
            case "trial" if since == days(TRIAL + 1):
                self._pay(subscription, at)
            case "cancels" if since == CANCELS_AFTER:
                cancel(user_id=user_id, now=False, cause=BY_USER, at=at)
            case "leaves" if at == person.leaves_at:
                cancel(user_id=user_id, now=person.leaves_now, cause=BY_USER, at=at)
            case "leaves for a raise" if at == LEAVES_FOR_A_PRICE_AT:
                cancel(user_id=user_id, now=False, cause=BY_USER, at=at)
            case "leaves in between" if at == months_later(person.starts_at, LEAVES_AT_RENEWAL):
                self._leave_with_a_charge_in_flight(subscription, at)
            case "replaces card" if since == REPLACES_AFTER:
                forget_for_replacement(user_id=user_id, at=at)
            case "upgrades" if since == UPGRADES_AFTER:
                upgrade(subscription, self._plans["yearly"], at=at)
                deliver_update(last_payment(subscription), at=at)

    def _fail(self, person: Subscriber, subscription: Subscription, at: datetime) -> None:
        """What cards and banks do."""
        since, customer = at - person.starts_at, f"customers/cus_{subscription.user_id.hex}"
        match person.kind:
            case "card dies" if since == DIES_AFTER:
                set_charge_outcome(self._sandbox, "failed", subscription)
            case "card fails once" if since == FAILS_AFTER:
                set_charge_outcome(self._sandbox, "failed", subscription)
            case "card fails once" if since > FAILS_AFTER:
                subscription.refresh_from_db()
                if subscription.status == "past_due":
                    set_charge_outcome(self._sandbox, "succeeded", subscription)
            case "card is stolen" if since == DIES_AFTER:
                self._sandbox.control(customer, off_session_outcome="failed", error_code="stolen_card")
            case "card expires" if EXPIRES_AT < at <= EXPIRES_AT + days(1):
                self._sandbox.control(customer, off_session_outcome="failed", error_code="expired_card")
            case "disputes" if since == DISPUTES_AFTER:
                deliver_dispute(last_payment(subscription), "opened", dispute_id=f"dp_{subscription.pk.hex}")

    def _meet_trouble(self, person: Subscriber, subscription: Subscription, at: datetime) -> None:
        """Renewals that the bank wants to be confirmed, and those that are paid on a page after some days."""
        asked = {"bank asks": ASKED_AT_RENEWAL, "loyal": EVERY_TENTH}.get(person.kind)
        if asked and at == months_later(person.starts_at, asked) - days(1):
            set_charge_outcome(self._sandbox, "requires_customer_action", subscription)
        elif person.kind in ("bank asks", "loyal", "replaces card", "card expires", "gets a price"):
            subscription.refresh_from_db()
            if subscription.status == "past_due" and at == subscription.past_due_since_at + PAYS_AFTER:
                customer = f"customers/cus_{subscription.user_id.hex}"
                self._sandbox.control(customer, off_session_outcome="succeeded", card_expires="12/2034")
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

    def expected(self) -> Outcome:
        """Counted from the calendar alone."""
        counts = [count_of(person) for person in self.people]
        income, tax, returned = (_sum(counts, name) for name in ("net_minor", "tax_minor", "returned_minor"))
        invoices = {name: _sum(counts, name) for name in ("void", "paid", "failed")}
        return Outcome(
            invoices={status: count for status, count in invoices.items() if count},
            active=_sum(counts, "active"),
            income_minor=income,
            tax_minor=tax,
            captured_minor=income + tax + returned,
            charges=sum(count.paid + count.void + count.failures for count in counts),
            returned_minor=returned,
            emails=dict(sum((count.emails for count in counts), Counter())),
        )

    def actual(self) -> Outcome:
        """Read from our rows, our ledger, and the provider."""
        movements = self._sandbox.truth()["movements"]
        names = {name for person in self.people for name in count_of(person).emails}
        return Outcome(
            invoices=dict(Counter(SubscriptionInvoice.objects.values_list("status", flat=True))),
            active=Subscription.objects.filter(status="active").count(),
            income_minor=_credited("subscription_income"),
            tax_minor=_credited("tax"),
            captured_minor=sum(one["amount"] for one in movements if one["kind"] == "payment"),
            charges=Payment.objects.count(),
            returned_minor=Refund.objects.aggregate(total=Sum("amount_minor"))["total"] or 0,
            emails=dict(Counter(Email.objects.filter(message__in=names).values_list("message", flat=True))),
        )


def _sum(counts: list[Count], name: str) -> int:
    return sum(getattr(count, name) for count in counts)


def _credited(account: str) -> int:
    return Posting.objects.filter(credit=account).aggregate(total=Sum("amount_minor"))["total"] or 0
