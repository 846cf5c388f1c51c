"""The walk of the demo against canned answers: it must hold when all is well, and notice when it is not."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from dev import api, round_trip
from dev.round_trip import RoundTrip, StepFailed
from dev.terminal import Screen

PEOPLE = {"buyer": "buyer@demo.example", "sellers": ["one@demo.example", "two@demo.example"]}
OFFERS = [{"license": "personal", "price_minor": 1000, "currency": "EUR"}]


class Marketplace:
    """Answers like Veza: a flawless one, unless a test changes what is kept."""

    def __init__(self) -> None:
        self.status = "pending"
        self.paid_becomes, self.refund_becomes = "completed", "refunded"
        self.licenses_after_refund: list[dict[str, Any]] = []

    def exchange(
        self, method: str, url: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        path = url.removeprefix("http://veza").split("?")[0].removeprefix("/api/v1")
        answers: dict[tuple[str, str], Callable[[], tuple[int, Any]]] = {
            ("POST", "/auth/login"): self.log_in,
            ("GET", "/marketplace/products"): lambda: (200, page([product("1", "a"), product("2", "b")])),
            ("POST", "/marketplace/orders"): lambda: (201, self.order() | {"payment_url": "http://veza/pay"}),
            ("GET", "/marketplace/orders/ord_1"): lambda: (200, self.order()),
            ("POST", "/pay"): self.pay,
            ("GET", "/licenses/mine"): lambda: (200, page(self.licenses())),
            ("GET", "/connect/transfers"): lambda: (200, page([self.transfer()])),
            ("POST", "/marketplace/orders/ord_1/refund"): self.ask_refund,
        }
        status, answer = answers[method, path]()
        return status, json.dumps(answer).encode()

    def log_in(self) -> tuple[int, Any]:
        return 200, {"access_token": "token"}

    def order(self) -> dict[str, Any]:
        if self.status == "refund_pending":
            self.status = self.refund_becomes
            return self.described("refund_pending")
        return self.described(self.status)

    def described(self, status: str) -> dict[str, Any]:
        amounts = {"subtotal_minor": 2000, "tax_minor": 380, "total_minor": 2380, "currency": "EUR"}
        refund = "full" if status == "refunded" else "none"
        names = {"order_id": "ord_1", "hyperswitch_payment_id": "pay_1", "items": [{}, {}]}
        return amounts | names | {"status": status, "refund": refund}

    def pay(self) -> tuple[int, Any]:
        self.status = self.paid_becomes
        return 303, None

    def licenses(self) -> list[dict[str, Any]]:
        return [{"order_id": "ord_1"}] * 2 if self.status == "completed" else self.licenses_after_refund

    def transfer(self) -> dict[str, Any]:
        back = self.status == "refunded"
        reversal = {"stripe_reversal_id": "trr_1" if back else "", "reversed_minor": 900 if back else 0}
        sent = {"order_id": "ord_1", "status": "completed", "stripe_transfer_id": "tr_1"}
        return sent | reversal | {"amount_minor": 900, "currency": "EUR"}

    def ask_refund(self) -> tuple[int, Any]:
        self.status = "refund_pending"
        return 202, {"refund": {"id": "ref_1", "status": "pending"}}


def page(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {"next": None, "previous": None, "results": rows}


def product(product_id: str, seller: str) -> dict[str, Any]:
    return {"id": product_id, "title": "T", "seller": seller, "offers": OFFERS}


@pytest.fixture
def marketplace(monkeypatch: pytest.MonkeyPatch) -> Marketplace:
    marketplace = Marketplace()
    for module in (api, round_trip):
        monkeypatch.setattr(module, "exchange", marketplace.exchange)
    monkeypatch.setattr(round_trip, "STEP_SECONDS", 0.2)
    return marketplace


def walk() -> RoundTrip:
    trip = RoundTrip("http://veza", PEOPLE, "password", Screen(), lambda _tick, _seconds: None)
    trip.walk(paid_by_person=False)
    return trip


def test_the_walk_holds_when_everything_works(marketplace: Marketplace):
    story = walk().story

    assert (story.order_id, story.refund_id) == ("ord_1", "ref_1")
    assert [row["stripe_reversal_id"] for row in story.transfers] == ["trr_1", "trr_1"]


def test_an_order_that_is_never_completed_is_noticed(marketplace: Marketplace):
    marketplace.paid_becomes = "pending"

    with pytest.raises(StepFailed, match="still pending"):
        walk()


def test_an_order_that_fails_is_noticed_at_once(marketplace: Marketplace):
    marketplace.paid_becomes = "failed"

    with pytest.raises(StepFailed, match="the order is failed"):
        walk()


def test_licenses_that_survive_the_refund_are_noticed(marketplace: Marketplace):
    marketplace.licenses_after_refund = [{"order_id": "ord_1"}]

    with pytest.raises(StepFailed, match="still has 1"):
        walk()


def test_a_transfer_that_is_not_reversed_is_noticed(marketplace: Marketplace, monkeypatch: pytest.MonkeyPatch):
    kept = marketplace.transfer() | {"stripe_transfer_id": "tr_1"}
    monkeypatch.setattr(marketplace, "transfer", lambda: kept)

    with pytest.raises(StepFailed, match="the transfers are: completed, completed"):
        walk()


def test_an_answer_nobody_expected_is_shown(marketplace: Marketplace, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(marketplace, "ask_refund", lambda: (400, {"code": "refund_window_expired"}))

    with pytest.raises(StepFailed, match=r"answered 400 instead of 202.*refund_window_expired"):
        walk()
