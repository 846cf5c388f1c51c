"""The demo's round trip against canned answers: it succeeds if all is well, and notices each problem."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from dev import api, round_trip
from dev.round_trip import RoundTrip, StepFailure
from dev.terminal import Screen

PEOPLE = {"buyer": "buyer@demo.example", "sellers": ["one@demo.example", "two@demo.example"]}
OFFERS = [{"license": "personal", "price_minor": 1000, "currency": "EUR"}]


class Marketplace:
    """Answers like a working Veza, unless a test changes an attribute."""

    def __init__(self) -> None:
        self.status = "pending"
        self.status_after_payment, self.status_after_refund = "completed", "refunded"
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
            self.status = self.status_after_refund
            return self.with_status("refund_pending")
        return self.with_status(self.status)

    def with_status(self, status: str) -> dict[str, Any]:
        amounts = {"subtotal_minor": 2000, "tax_minor": 380, "total_minor": 2380, "currency": "EUR"}
        refund = "full" if status == "refunded" else "none"
        names = {"order_id": "ord_1", "hyperswitch_payment_id": "pay_1", "items": [{}, {}]}
        return amounts | names | {"status": status, "refund": refund}

    def pay(self) -> tuple[int, Any]:
        self.status = self.status_after_payment
        return 303, None

    def licenses(self) -> list[dict[str, Any]]:
        return [{"order_id": "ord_1"}] * 2 if self.status == "completed" else self.licenses_after_refund

    def transfer(self) -> dict[str, Any]:
        is_reversed = self.status == "refunded"
        reversal = {"stripe_reversal_id": "trr_1" if is_reversed else "", "reversed_minor": 900 if is_reversed else 0}
        transfer = {"order_id": "ord_1", "status": "completed", "stripe_transfer_id": "tr_1"}
        return transfer | reversal | {"amount_minor": 900, "currency": "EUR"}

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
    trip.walk(pay_in_browser=False)
    return trip


def test_the_round_trip_succeeds_when_everything_works(marketplace: Marketplace):
    state = walk().state

    assert (state.order_id, state.refund_id) == ("ord_1", "ref_1")
    assert [row["stripe_reversal_id"] for row in state.transfers] == ["trr_1", "trr_1"]


def test_an_order_that_is_never_completed_is_noticed(marketplace: Marketplace):
    marketplace.status_after_payment = "pending"

    with pytest.raises(StepFailure, match="still pending"):
        walk()


def test_an_order_that_fails_is_noticed_at_once(marketplace: Marketplace):
    marketplace.status_after_payment = "failed"

    with pytest.raises(StepFailure, match="the order is failed"):
        walk()


def test_licenses_that_survive_the_refund_are_noticed(marketplace: Marketplace):
    marketplace.licenses_after_refund = [{"order_id": "ord_1"}]

    with pytest.raises(StepFailure, match="still has 1"):
        walk()


def test_a_transfer_that_is_not_reversed_is_noticed(marketplace: Marketplace, monkeypatch: pytest.MonkeyPatch):
    row = marketplace.transfer() | {"stripe_transfer_id": "tr_1"}
    monkeypatch.setattr(marketplace, "transfer", lambda: row)

    with pytest.raises(StepFailure, match="the transfers are: completed, completed"):
        walk()


def test_an_unexpected_answer_is_shown(marketplace: Marketplace, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(marketplace, "ask_refund", lambda: (400, {"code": "refund_window_expired"}))

    with pytest.raises(StepFailure, match=r"answered 400 instead of 202.*refund_window_expired"):
        walk()
