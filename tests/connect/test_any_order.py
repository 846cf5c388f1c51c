"""Whatever happens in whatever order: in the end Stripe has moved exactly what every seller should have."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connect import stripe_api
from connect.models import SellerTransfer, TransferReversal
from connect.proof import prove_order
from connect.reversals import process_due
from connect.settle import settle_order
from connect.stripe_objects import ReversalSeen, TransferSeen
from connect.transfers import plan_transfers, send_due
from marketplace.shares import seller_shares
from payments.models import Refund
from tests.connect.conftest import call, not_sent, refused, unknown
from tests.connect.factories import BY_TEST, long_ago, make_order, make_seller, refund
from veza.core.ids import new_id
from veza.core.outcomes import Accepted
from veza.core.states import move

pytestmark = pytest.mark.django_db
SHARE = 10_00

# What Stripe does with a call: take it; take it and lose the answer; lose it before; refuse it for now.
FATES = ("take", "lose_answer", "lose_request", "too_low", "turn_away")
facts = st.one_of(st.tuples(st.just("refund"), st.integers(1, SHARE)), st.tuples(st.just("bounce"), st.integers(0, 5)))
# A worker's turn: what it does, its fate, and the fact that arrives while the call is under way.
turns = st.tuples(st.sampled_from(["send", "reverse"]), st.sampled_from(FATES), st.none() | facts)
steps = st.lists(st.one_of(facts, turns, turns, st.just(("a_day_passes",))), min_size=3, max_size=12)


class HonestStripe:
    """Transfers and reversals with Stripe's idempotency, and a fate for each call."""

    def __init__(self) -> None:
        self.fate = "take"
        self.in_flight: Any = None
        self.transfers: dict[str, TransferSeen] = {}
        self.stored: dict[str, Any] = {}

    def net(self, order_id: UUID) -> int:
        ours = [seen for seen in self.transfers.values() if seen.order_id == str(order_id)]
        return sum(seen.amount_minor - seen.reversed_minor for seen in ours)

    def _run(self, key: str, asked: dict[str, Any], perform: Any) -> Any:
        if meanwhile := self.in_flight:
            self.in_flight = None
            meanwhile()
        if self.fate == "lose_request":
            return unknown()
        if self.fate == "turn_away":
            return not_sent(401)
        if key not in self.stored:
            answer = refused("balance_insufficient") if self.fate == "too_low" else perform()
            self.stored[key] = (asked, answer)
        first_asked, answer = self.stored[key]
        assert first_asked == asked, "the same key was used with other parameters"
        return unknown() if self.fate == "lose_answer" else answer

    def create_transfer(self, *, idempotency_key: str, **asked: Any) -> Any:
        def perform() -> Any:
            seen = TransferSeen(
                f"tr_{new_id().hex}",
                asked["amount_minor"],
                0,
                "EUR",
                asked["destination"],
                str(asked["order_id"]),
                str(asked["transfer_id"]),
                str(asked["order_id"]),
                (),
            )
            self.transfers[seen.transfer_id] = seen
            return Accepted(seen, call())

        return self._run(idempotency_key, asked, perform)

    def create_reversal(self, *, idempotency_key: str, **asked: Any) -> Any:
        def perform() -> Any:
            seen = self.transfers[asked["stripe_transfer_id"]]
            back = seen.reversed_minor + asked["amount_minor"]
            if back > seen.amount_minor:
                return refused("", "greater than what is left")
            made = ReversalSeen(
                f"trr_{new_id().hex}", seen.transfer_id, asked["amount_minor"], str(asked["reversal_id"])
            )
            fields = {**vars(seen), "reversed_minor": back, "reversals": (made, *seen.reversals)}
            self.transfers[seen.transfer_id] = TransferSeen(**fields)
            return Accepted(made, call())

        return self._run(idempotency_key, asked, perform)

    def read_transfer(self, stripe_transfer_id: str) -> Any:
        return Accepted(self.transfers[stripe_transfer_id], call())

    def list_transfers(self, *, transfer_group: str) -> Any:
        found = [seen for seen in self.transfers.values() if seen.transfer_group == transfer_group]
        return Accepted(found, call())

    def forget_keys(self) -> None:
        self.stored.clear()


class Story:
    """One order of one seller, and everything that may happen to it."""

    def __init__(self, stripe: HonestStripe) -> None:
        self.stripe, self.seller = stripe, make_seller()
        self.order = make_order((self.seller, SHARE))
        plan_transfers(self.order, cause=BY_TEST, at=timezone.now())

    def happen(self, what: str, *values: Any) -> None:
        getattr(self, what)(*values)

    def refund(self, amount: int) -> None:
        """A further partial refund, or of what is left."""
        left = seller_shares(self.order.pk)[self.seller.pk]
        if left:
            refund(self.order, self.seller, min(amount, left))

    def bounce(self, which: int) -> None:
        done = list(Refund.objects.filter(story_id=self.order.pk, status="succeeded").order_by("pk"))
        if done:
            with transaction.atomic():
                move(done[which % len(done)], "bounced", cause=BY_TEST)
                settle_order(self.order, cause=BY_TEST, at=timezone.now())

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
        """Everything works again: the workers run until nothing is due."""
        for _ in range(6):
            self.send("take")
            self.reverse("take")

    def _work(self, work: Any, fate: str, meanwhile: Any) -> None:
        self.stripe.fate = fate
        self.stripe.in_flight = (lambda: self.happen(*meanwhile)) if meanwhile else None
        SellerTransfer.objects.filter(next_retry_at__isnull=False).update(next_retry_at=long_ago(), retry_count=0)
        work()


@settings(max_examples=60, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps)
def test_stripe_ends_with_exactly_what_the_seller_should_have(monkeypatch, steps):
    stripe = HonestStripe()
    for name in ("create_transfer", "create_reversal", "read_transfer", "list_transfers"):
        monkeypatch.setattr(stripe_api, name, getattr(stripe, name))
    story = Story(stripe)

    for step in steps:
        story.happen(*step)
    story.heal()

    wanted = seller_shares(story.order.pk)[story.seller.pk]
    assert stripe.net(story.order.pk) == wanted
    rows = SellerTransfer.objects.filter(order=story.order)
    assert set(rows.values_list("status", flat=True)) <= {"completed", "reversed", "cancelled"}
    assert all(term.holds for term in prove_order(story.order.pk))
