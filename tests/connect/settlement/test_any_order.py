"""Whatever happens in whatever order: in the end Stripe has moved exactly what every seller should have.

A seller has several orders, so that a debt for one is offset against another.
"""

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from connect.debts.write_offs import may_be_written_off, write_off
from connect.models import SellerTransfer, TransferReversal
from connect.reversals.reversal_requests import process_due
from connect.settlement.reconcile_seller import settle_order
from connect.settlement.reissues import reissue_transfer
from connect.stripe import client as stripe_api
from connect.stripe.objects import RemoteReversal, RemoteTransfer
from connect.transfers.transfer_refresh import refresh_due
from connect.transfers.transfer_requests import plan_transfers, send_due
from marketplace.allocation import is_disputed, seller_shares
from marketplace.models import Order
from payments.ledger.chart_of_accounts import seller_account
from payments.models import Dispute, Payment, Refund
from tests.connect.factories import BY_TEST, long_ago, make_order, make_seller, refund
from tests.connect.proving import faults_of
from tests.connect.stripe_double import call, refuses, rejects_key, times_out
from veza.core.ids import new_id
from veza.core.outcomes import Accepted
from veza.core.states import move

pytestmark = pytest.mark.django_db
SHARE = 10_00

# What Stripe does with a call: accept it; accept it and lose the answer; lose the request; refuse it; reject the key.
FATES = ("accept", "lose_answer", "lose_request", "too_low", "reject_key")
which = st.integers(0, 1)
events = st.one_of(
    st.tuples(st.just("refund"), which, st.integers(1, SHARE)),
    st.tuples(st.just("refund"), which, st.just(SHARE)),
    st.tuples(st.just("return_refund"), which, st.integers(0, 5)),
    # An external reversal in Stripe's dashboard, whose webhook is followed by a refresh.
    st.tuples(st.just("reverse_externally"), which, st.integers(1, SHARE)),
    # Finance reissues what was reversed by mistake.
    st.tuples(st.just("reissue_transfer"), which),
    # Finance gives a debt up.
    st.tuples(st.just("write_off"), which),
    # The bank disputes an order's money, wins it, or loses it.
    st.tuples(st.just("dispute"), which, st.sampled_from(["suspense", "bank", ""])),
)
# A worker's turn: what it does, its fate, and the event that arrives while the call is under way.
turns = st.tuples(st.sampled_from(["send", "reverse"]), st.sampled_from(FATES), st.none() | events)
# Left to chance alone, what leads to a set-off and to its undoing hardly ever follows one upon the other.
chapters = st.one_of(
    st.tuples(st.just("owe"), which),
    st.tuples(st.just("earn_less"), which),
    st.tuples(st.just("sell"), st.sampled_from(FATES)),
    st.sampled_from([("sell", "accept"), ("a_day_passes",), ("refresh",)]),
)
steps = st.lists(st.one_of(events, turns, chapters), min_size=3, max_size=14)


class HonestStripe:
    """Transfers and reversals with Stripe's idempotency, and a fate for each call."""

    def __init__(self) -> None:
        self.fate = "accept"
        self.in_flight: Any = None
        self.transfers: dict[str, RemoteTransfer] = {}
        self.stored: dict[str, Any] = {}

    def net(self) -> int:
        return sum(snapshot.amount_minor - snapshot.reversed_minor for snapshot in self.transfers.values())

    def _run(self, key: str, params: dict[str, Any], perform: Any) -> Any:
        if meanwhile := self.in_flight:
            self.in_flight = None
            meanwhile()
        if self.fate == "lose_request":
            return times_out()
        if self.fate == "reject_key":
            return rejects_key(401)
        if key not in self.stored:
            answer = refuses("balance_insufficient") if self.fate == "too_low" else perform()
            self.stored[key] = (params, answer)
        first_params, answer = self.stored[key]
        assert first_params == params, "the same key was used with other parameters"
        return times_out() if self.fate == "lose_answer" else answer

    def create_transfer(self, *, idempotency_key: str, **params: Any) -> Any:
        def perform() -> Any:
            snapshot = RemoteTransfer(
                f"tr_{new_id().hex}",
                params["amount_minor"],
                0,
                "EUR",
                params["destination"],
                str(params["order_id"]),
                str(params["transfer_id"]),
                str(params["order_id"]),
                (),
            )
            self.transfers[snapshot.transfer_id] = snapshot
            return Accepted(snapshot, call())

        return self._run(idempotency_key, params, perform)

    def create_reversal(self, *, idempotency_key: str, **params: Any) -> Any:
        def perform() -> Any:
            snapshot = self.transfers[params["stripe_transfer_id"]]
            if params["amount_minor"] > snapshot.amount_minor - snapshot.reversed_minor:
                return refuses("", "greater than what is left")
            return Accepted(
                self.reverse_at_stripe(snapshot, params["amount_minor"], str(params["reversal_id"])), call()
            )

        return self._run(idempotency_key, params, perform)

    def reverse_at_stripe(self, snapshot: RemoteTransfer, amount_minor: int, our_id: str = "") -> RemoteReversal:
        made = RemoteReversal(f"trr_{new_id().hex}", snapshot.transfer_id, amount_minor, our_id)
        back = {"reversed_minor": snapshot.reversed_minor + amount_minor, "reversals": (made, *snapshot.reversals)}
        self.transfers[snapshot.transfer_id] = RemoteTransfer(**{**vars(snapshot), **back})
        return made

    def read_transfer(self, stripe_transfer_id: str) -> Any:
        return Accepted(self.transfers[stripe_transfer_id], call())

    def list_transfers(self, *, transfer_group: str) -> Any:
        found = [snapshot for snapshot in self.transfers.values() if snapshot.transfer_group == transfer_group]
        return Accepted(found, call())

    def forget_keys(self) -> None:
        self.stored.clear()


class History:
    """Orders of one seller, and everything that may happen to them."""

    def __init__(self, stripe: HonestStripe) -> None:
        self.stripe, self.seller = stripe, make_seller()
        self.orders: list[Order] = []
        self.sell("accept")

    def apply(self, what: str, *values: Any) -> None:
        getattr(self, what)(*values)

    def sell(self, fate: str) -> None:
        """Another order, and a worker that tries to pay the seller for it."""
        self.orders.append(make_order((self.seller, SHARE)))
        plan_transfers(self.orders[-1], cause=BY_TEST, at=timezone.now())
        self.send(fate)

    def owe(self, which: int) -> None:
        """A whole refund after the seller was paid out: the balance is too low to reverse anything."""
        self.refund(which, SHARE)
        self.reverse("too_low")

    def earn_less(self, which: int) -> None:
        """A debt that the next sale pays, and a refund of that sale: what was withheld is owed again."""
        self.owe(which)
        self.sell("accept")
        self.refund(len(self.orders) - 1, SHARE - 1)

    def target(self) -> int:
        return sum(seller_shares(order.pk)[self.seller.pk] for order in self.orders)

    def refund(self, which: int, amount: int) -> None:
        """A further partial refund, or of what is left."""
        order = self.orders[which % len(self.orders)]
        left = seller_shares(order.pk)[self.seller.pk]
        if left:
            refund(order, self.seller, min(amount, left))

    def return_refund(self, which: int, nth: int) -> None:
        order = self.orders[which % len(self.orders)]
        done = list(Refund.objects.filter(correlation_id=order.pk, status="succeeded").order_by("pk"))
        if done:
            with transaction.atomic():
                move(done[nth % len(done)], "bounced", cause=BY_TEST)
                settle_order(order, cause=BY_TEST, at=timezone.now())

    def reverse_externally(self, nth: int, amount: int) -> None:
        left = [
            snapshot for snapshot in self.stripe.transfers.values() if snapshot.reversed_minor < snapshot.amount_minor
        ]
        if left:
            snapshot = left[nth % len(left)]
            self.stripe.reverse_at_stripe(snapshot, min(amount, snapshot.amount_minor - snapshot.reversed_minor))
            self.refresh()

    def reissue_transfer(self, nth: int) -> None:
        rows = SellerTransfer.objects.filter(order__in=self.orders).order_by("pk")
        if mistakes := [row for row in rows if row.external_reversed_minor > 0]:
            reissue_transfer(transfer_id=mistakes[nth % len(mistakes)].pk, cause=BY_TEST)

    def write_off(self, nth: int) -> None:
        rows = SellerTransfer.objects.filter(order__in=self.orders).order_by("pk")
        if debts := [row for row in rows if may_be_written_off(row)]:
            write_off(transfer_id=debts[nth % len(debts)].pk, cause=BY_TEST)

    def dispute(self, which: int, funds_location: str) -> None:
        order = self.orders[which % len(self.orders)]
        allocation = {seller_account(self.seller.pk): SHARE} if funds_location else {}
        made = {"payment": Payment.objects.get(purpose_id=order.pk), "amount_minor": SHARE, "currency": "EUR"}
        Dispute.objects.update_or_create(
            hyperswitch_dispute_id=f"dp_{order.pk.hex}",
            defaults={"allocation": allocation, "funds_location": funds_location},
            create_defaults={
                "status": "opened",
                "correlation_id": order.pk,
                "allocation": allocation,
                "funds_location": funds_location,
                **made,
            },
        )
        with transaction.atomic():
            settle_order(order, cause=BY_TEST, at=timezone.now())

    def send(self, fate: str, meanwhile: Any = None) -> None:
        self._work(send_due, fate, meanwhile)

    def reverse(self, fate: str, meanwhile: Any = None) -> None:
        self._work(process_due, fate, meanwhile)

    def a_day_passes(self) -> None:
        self.stripe.forget_keys()
        a_day_ago = timezone.now() - timedelta(days=2)
        SellerTransfer.objects.filter(in_doubt_since__isnull=False).update(in_doubt_since=a_day_ago)
        TransferReversal.objects.filter(first_sent_at__isnull=False).update(first_sent_at=a_day_ago)

    def heal(self) -> None:
        """Everything works again: banks let go, the workers run until nothing is due, every webhook has arrived."""
        for number, order in enumerate(self.orders):
            if is_disputed(order.pk):
                self.dispute(number, "")
        for _ in range(6):
            self.send("accept")
            self.reverse("accept")
            self.refresh()

    def refresh(self) -> None:
        rows = SellerTransfer.objects.filter(order__in=self.orders, stripe_transfer_id__isnull=False)
        rows.update(refresh_due_at=long_ago())
        refresh_due()

    def _work(self, work: Any, fate: str, meanwhile: Any) -> None:
        self.stripe.fate = fate
        self.stripe.in_flight = (lambda: self.apply(*meanwhile)) if meanwhile else None
        SellerTransfer.objects.filter(next_retry_at__isnull=False).update(next_retry_at=long_ago(), retry_count=0)
        work()


@example(steps=[("earn_less", 0), ("reverse_externally", 0, 10), ("refund", 1, 10)])
# All of a debt that a sale had paid is reversed externally as well, and then that sale is refunded.
@example(steps=[("owe", 0), ("sell", "accept"), ("reverse_externally", 0, SHARE), ("refund", 1, SHARE)])
@example(
    steps=[("refund", 0, 400), ("reverse", "lose_request", None), ("reverse_externally", 0, 300), ("a_day_passes",)]
)
@example(
    steps=[
        ("sell", "reject_key"),
        ("refund", 0, 1000),
        ("reverse", "lose_request", ("refund", 1, 1000)),
        ("reverse_externally", 1, 236),
        ("return_refund", 1, 0),
        ("sell", "accept"),
    ]
)
@example(steps=[("dispute", 0, "suspense"), ("dispute", 0, "bank"), ("reverse", "accept", None), ("dispute", 0, "")])
@example(steps=[("earn_less", 0), ("reverse_externally", 0, SHARE), ("reissue_transfer", 0), ("dispute", 1, "bank")])
# A debt is given up, and then all of it comes back: from the bank, or in Stripe's dashboard.
@example(steps=[("owe", 0), ("write_off", 0), ("return_refund", 0, 0)])
@example(steps=[("owe", 0), ("write_off", 0), ("reverse_externally", 0, SHARE), ("return_refund", 0, 0)])
@settings(max_examples=40, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps)
def test_stripe_ends_with_exactly_what_the_seller_should_have(monkeypatch, steps):
    stripe = HonestStripe()
    for name in ("create_transfer", "create_reversal", "read_transfer", "list_transfers"):
        monkeypatch.setattr(stripe_api, name, getattr(stripe, name))
    history = History(stripe)

    for step in steps:
        history.apply(*step)
    history.heal()

    rows = SellerTransfer.objects.filter(order__in=history.orders)
    external, lost = (
        sum(rows.values_list(name, flat=True)) for name in ("external_reversed_minor", "written_off_minor")
    )
    assert stripe.net() == history.target() - external + lost
    assert set(rows.values_list("status", flat=True)) <= {"completed", "reversed", "cancelled"}
    assert faults_of(*(order.pk for order in history.orders)) == []
