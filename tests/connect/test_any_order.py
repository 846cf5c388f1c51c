"""Whatever happens in whatever order: in the end Stripe has moved exactly what every seller should have.

A seller has several orders, so that what one cannot give back is set off against another.
"""

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from connect.models import SellerTransfer, TransferReversal
from connect.reversals.reversal_requests import process_due
from connect.settlement.reconcile_seller import reissue_transfer, settle_order
from connect.stripe import client as stripe_api
from connect.stripe.objects import RemoteReversal, RemoteTransfer
from connect.transfers.transfer_refresh import refresh_due
from connect.transfers.transfer_requests import plan_transfers, send_due
from marketplace.allocation import is_disputed, seller_shares
from marketplace.models import Order
from payments.ledger.chart_of_accounts import seller_account
from payments.models import Dispute, Payment, Refund
from tests.connect.conftest import call, not_sent, refused, unknown
from tests.connect.factories import BY_TEST, long_ago, make_order, make_seller, refund
from tests.connect.proving import faults_of
from veza.core.ids import new_id
from veza.core.outcomes import Accepted
from veza.core.states import move

pytestmark = pytest.mark.django_db
SHARE = 10_00

# What Stripe does with a call: take it; take it and lose the answer; lose it before; refuse it for now.
FATES = ("take", "lose_answer", "lose_request", "too_low", "turn_away")
which = st.integers(0, 1)
facts = st.one_of(
    st.tuples(st.just("refund"), which, st.integers(1, SHARE)),
    st.tuples(st.just("refund"), which, st.just(SHARE)),
    st.tuples(st.just("bounce"), which, st.integers(0, 5)),
    # Somebody reverses at Stripe's dashboard, and the webhook is followed by a look.
    st.tuples(st.just("by_hand"), which, st.integers(1, SHARE)),
    # A person says that it was a mistake.
    st.tuples(st.just("reissue_transfer"), which),
    # The bank asks for an order's money, keeps it, or lets go of it.
    st.tuples(st.just("dispute"), which, st.sampled_from(["suspense", "bank", ""])),
)
# A worker's turn: what it does, its fate, and the fact that arrives while the call is under way.
turns = st.tuples(st.sampled_from(["send", "reverse"]), st.sampled_from(FATES), st.none() | facts)
# Left to chance alone, what leads to a set-off and to its undoing hardly ever follows one upon the other.
chapters = st.one_of(
    st.tuples(st.just("owe"), which),
    st.tuples(st.just("earn_less"), which),
    st.tuples(st.just("sell"), st.sampled_from(FATES)),
    st.sampled_from([("sell", "take"), ("a_day_passes",), ("look",)]),
)
steps = st.lists(st.one_of(facts, turns, chapters), min_size=3, max_size=14)


class HonestStripe:
    """Transfers and reversals with Stripe's idempotency, and a fate for each call."""

    def __init__(self) -> None:
        self.fate = "take"
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
            return unknown()
        if self.fate == "turn_away":
            return not_sent(401)
        if key not in self.stored:
            answer = refused("balance_insufficient") if self.fate == "too_low" else perform()
            self.stored[key] = (params, answer)
        first_asked, answer = self.stored[key]
        assert first_asked == params, "the same key was used with other parameters"
        return unknown() if self.fate == "lose_answer" else answer

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
                return refused("", "greater than what is left")
            return Accepted(self.take_back(snapshot, params["amount_minor"], str(params["reversal_id"])), call())

        return self._run(idempotency_key, params, perform)

    def take_back(self, snapshot: RemoteTransfer, amount_minor: int, our_id: str = "") -> RemoteReversal:
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


class Story:
    """Orders of one seller, and everything that may happen to them."""

    def __init__(self, stripe: HonestStripe) -> None:
        self.stripe, self.seller = stripe, make_seller()
        self.orders: list[Order] = []
        self.sell("take")

    def happen(self, what: str, *values: Any) -> None:
        getattr(self, what)(*values)

    def sell(self, fate: str) -> None:
        """Another order, and a worker that tries to pay the seller for it."""
        self.orders.append(make_order((self.seller, SHARE)))
        plan_transfers(self.orders[-1], cause=BY_TEST, at=timezone.now())
        self.send(fate)

    def owe(self, which: int) -> None:
        """A whole refund after the seller was paid out: Stripe finds nothing to take back."""
        self.refund(which, SHARE)
        self.reverse("too_low")

    def earn_less(self, which: int) -> None:
        """A debt that the next sale pays, and a refund of that sale: what was set off is owed again."""
        self.owe(which)
        self.sell("take")
        self.refund(len(self.orders) - 1, SHARE - 1)

    def wanted(self) -> int:
        return sum(seller_shares(order.pk)[self.seller.pk] for order in self.orders)

    def refund(self, which: int, amount: int) -> None:
        """A further partial refund, or of what is left."""
        order = self.orders[which % len(self.orders)]
        left = seller_shares(order.pk)[self.seller.pk]
        if left:
            refund(order, self.seller, min(amount, left))

    def bounce(self, which: int, nth: int) -> None:
        order = self.orders[which % len(self.orders)]
        done = list(Refund.objects.filter(correlation_id=order.pk, status="succeeded").order_by("pk"))
        if done:
            with transaction.atomic():
                move(done[nth % len(done)], "bounced", cause=BY_TEST)
                settle_order(order, cause=BY_TEST, at=timezone.now())

    def by_hand(self, nth: int, amount: int) -> None:
        left = [
            snapshot for snapshot in self.stripe.transfers.values() if snapshot.reversed_minor < snapshot.amount_minor
        ]
        if left:
            snapshot = left[nth % len(left)]
            self.stripe.take_back(snapshot, min(amount, snapshot.amount_minor - snapshot.reversed_minor))
            self.look()

    def reissue_transfer(self, nth: int) -> None:
        rows = SellerTransfer.objects.filter(order__in=self.orders).order_by("pk")
        if mistakes := [row for row in rows if row.reissuable_minor > 0]:
            reissue_transfer(transfer_id=mistakes[nth % len(mistakes)].pk, cause=BY_TEST)

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
            self.send("take")
            self.reverse("take")
            self.look()

    def look(self) -> None:
        told = SellerTransfer.objects.filter(order__in=self.orders, stripe_transfer_id__isnull=False)
        told.update(refresh_due_at=long_ago())
        refresh_due()

    def _work(self, work: Any, fate: str, meanwhile: Any) -> None:
        self.stripe.fate = fate
        self.stripe.in_flight = (lambda: self.happen(*meanwhile)) if meanwhile else None
        SellerTransfer.objects.filter(next_retry_at__isnull=False).update(next_retry_at=long_ago(), retry_count=0)
        work()


@example(steps=[("earn_less", 0), ("by_hand", 0, 10), ("refund", 1, 10)])
# All of a debt that a sale had paid is reversed by hand as well, and then that sale is refunded.
@example(steps=[("owe", 0), ("sell", "take"), ("by_hand", 0, SHARE), ("refund", 1, SHARE)])
@example(steps=[("refund", 0, 400), ("reverse", "lose_request", None), ("by_hand", 0, 300), ("a_day_passes",)])
@example(
    steps=[
        ("sell", "turn_away"),
        ("refund", 0, 1000),
        ("reverse", "lose_request", ("refund", 1, 1000)),
        ("by_hand", 1, 236),
        ("bounce", 1, 0),
        ("sell", "take"),
    ]
)
@example(steps=[("dispute", 0, "suspense"), ("dispute", 0, "bank"), ("reverse", "take", None), ("dispute", 0, "")])
@example(steps=[("earn_less", 0), ("by_hand", 0, SHARE), ("reissue_transfer", 0), ("dispute", 1, "bank")])
@settings(max_examples=80, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps)
def test_stripe_ends_with_exactly_what_the_seller_should_have(monkeypatch, steps):
    stripe = HonestStripe()
    for name in ("create_transfer", "create_reversal", "read_transfer", "list_transfers"):
        monkeypatch.setattr(stripe_api, name, getattr(stripe, name))
    story = Story(stripe)

    for step in steps:
        story.happen(*step)
    story.heal()

    rows = SellerTransfer.objects.filter(order__in=story.orders)
    assert stripe.net() == story.wanted() - sum(rows.values_list("external_reversed_minor", flat=True))
    assert set(rows.values_list("status", flat=True)) <= {"completed", "reversed", "cancelled"}
    assert faults_of(*(order.pk for order in story.orders)) == []
