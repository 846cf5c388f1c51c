"""The demo's round trip: order from two sellers, pay, check licences and transfers, refund, check both reversed.

All steps use HTTP, as a buyer and the sellers would. The round trip stops at the first step that fails.
"""

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from dev.api import Caller, UnexpectedAnswer, exchange
from dev.processes import Failure
from dev.terminal import Screen, Step

POLL_SECONDS = 0.2
STEP_SECONDS = 60.0
BROWSER_SECONDS = 50 * 60.0  # An order that stays unpaid for an hour expires.

Pause = Callable[[Callable[[], None], float], None]


class StepFailure(Failure):
    """A step of the round trip failed."""


@dataclass
class TripState:
    """The results of the round trip so far."""

    order_id: str = ""
    refund_id: str = ""
    transfers: list[dict[str, Any]] = field(default_factory=list)
    order: dict[str, Any] = field(default_factory=dict)


class RoundTrip:
    """Purchase, licences, transfers, refund, reversals. `pause` waits and checks the processes."""

    def __init__(self, base_url: str, people: dict[str, Any], password: str, screen: Screen, pause: Pause) -> None:
        self._base_url, self._people, self._password = base_url, people, password
        self._screen, self._pause = screen, pause
        self._buyer = Caller(base_url)
        self._sellers: list[Caller] = []
        self.state = TripState()

    def walk(self, *, pay_in_browser: bool) -> None:
        """Take all steps. Raises StepFailure at the first step that fails."""
        self._log_in()
        offers = self._choose_offers()
        self._place_order(offers)
        self._pay_in_browser() if pay_in_browser else self._pay_on_page()
        self._check_order_completed(pay_in_browser=pay_in_browser)
        self._check_licenses()
        self._check_transfers()
        self._request_refund()
        self._check_order_refunded()
        self._check_licenses_revoked()
        self._check_transfers_reversed()

    def place_another_order(self) -> str:
        """Place an order that stays unpaid, and return the address of its payment page."""
        with self._step("A second order, left unpaid for you") as step:
            order = self._create_order([self._offer_of(next(iter(self._buyer.rows("/marketplace/products"))))])
            step.note = order["order_id"]
            return str(order["payment_url"])

    def _log_in(self) -> None:
        with self._step("Log in as the buyer") as step:
            self._buyer.log_in(self._people["buyer"], self._password)
            step.note = self._people["buyer"]

    def _choose_offers(self) -> list[dict[str, str]]:
        with self._step("List products") as step:
            products = list(self._buyer.rows("/marketplace/products"))
            by_seller = {str(product["seller"]): product for product in products if product["offers"]}
            self._require(len(by_seller) >= 2, f"two sellers are needed, the catalogue has {len(by_seller)}")
            step.note = f"{len(products)} products of {len(by_seller)} sellers"
            return [self._offer_of(product) for product in list(by_seller.values())[:2]]

    def _place_order(self, offers: list[dict[str, str]]) -> None:
        with self._step("Order from two sellers") as step:
            order = self._create_order(offers)
            self._require(len(order["items"]) == 2, f"two items were ordered, the order has {len(order['items'])}")
            self._require(
                order["subtotal_minor"] + order["tax_minor"] == order["total_minor"],
                "subtotal and tax do not add up to the total",
            )
            self.state.order, self.state.order_id = order, str(order["order_id"])
            step.note = f"{self.state.order_id}, {format_money(order['total_minor'], order['currency'])}"

    def _pay_on_page(self) -> None:
        with self._step("Pay on the hosted payment page") as step:
            url = self.state.order["payment_url"]
            form = {"Content-Type": "application/x-www-form-urlencoded"}
            status, page = exchange("POST", url, urlencode({"action": "pay"}).encode(), form)
            self._require(
                status in (200, 302, 303),
                f"the page answered {status}: {page[:300].decode(errors='replace')}",
            )
            step.note = self.state.order["hyperswitch_payment_id"]

    def _pay_in_browser(self) -> None:
        self._screen.say(f"\n    Pay here in your browser: {self.state.order['payment_url']}\n")

    def _check_order_completed(self, *, pay_in_browser: bool) -> None:
        title = "Waiting for you to pay" if pay_in_browser else "Webhook received, order completed"
        with self._step(title) as step:
            seconds = BROWSER_SECONDS if pay_in_browser else STEP_SECONDS
            order = self._follow_order(step, "pending", "completed", seconds)
            step.note = f"order is {order['status']}"

    def _check_licenses(self) -> None:
        with self._step("Licences are active") as step:
            licenses = self._licenses()
            self._require(len(licenses) == 2, f"two were bought, /licenses/mine has {len(licenses)} of this order")
            step.note = f"{len(licenses)} in /licenses/mine"

    def _check_transfers(self) -> None:
        with self._step("Sellers are paid at Stripe") as step:
            for email in self._people["sellers"]:
                seller = Caller(self._base_url)
                seller.log_in(email, self._password)
                self._sellers.append(seller)
            transfers = self._transfers_when(step, lambda row: bool(row["stripe_transfer_id"]))
            step.note = ", ".join(f"{row['stripe_transfer_id']} {_format_amount(row)}" for row in transfers)

    def _request_refund(self) -> None:
        with self._step("Request a refund") as step:
            answer = self._buyer.post(
                f"/marketplace/orders/{self.state.order_id}/refund",
                {"reason": "Refund by the demo."},
                expected_status=202,
                idempotency_key=str(uuid.uuid4()),
            )
            self.state.refund_id = str(answer["refund"]["id"])
            self._require(answer["refund"]["status"] == "pending", f"the answer says {answer['refund']['status']}")
            step.note = f"{self.state.refund_id} is pending"

    def _check_order_refunded(self) -> None:
        with self._step("Refund webhook received, order refunded") as step:
            order = self._follow_order(step, "refund_pending", "refunded", STEP_SECONDS)
            self._require(order["refund"] == "full", f"the order's refund is {order['refund']}")
            step.note = f"order is {order['status']}"

    def _check_licenses_revoked(self) -> None:
        with self._step("Licences are revoked") as step:
            licenses = self._licenses()
            self._require(not licenses, f"/licenses/mine still has {len(licenses)} of this order")
            step.note = "none in /licenses/mine"

    def _check_transfers_reversed(self) -> None:
        with self._step("Transfers are reversed at Stripe") as step:
            reversals = self._transfers_when(
                step,
                lambda row: bool(row["stripe_reversal_id"]) and row["reversed_minor"] == row["amount_minor"],
            )
            step.note = ", ".join(f"{row['stripe_reversal_id']} {_format_amount(row)}" for row in reversals)

    def _create_order(self, items: list[dict[str, str]]) -> dict[str, Any]:
        key = str(uuid.uuid4())
        order: dict[str, Any] = self._buyer.post(
            "/marketplace/orders", {"items": items}, expected_status=201, idempotency_key=key
        )
        self._require(bool(order["payment_url"]), "the order has no payment_url")
        return order

    @staticmethod
    def _offer_of(product: dict[str, Any]) -> dict[str, str]:
        return {"product_id": product["id"], "license": product["offers"][0]["license"]}

    def _follow_order(self, step: Step, current: str, target: str, within: float) -> dict[str, Any]:
        """Wait until the order has the target status; any status but that and the current one is a failure."""
        deadline = time.monotonic() + within
        while True:
            order: dict[str, Any] = self._buyer.get(f"/marketplace/orders/{self.state.order_id}")
            if order["status"] == target:
                return order
            self._require(order["status"] == current, f"the order is {order['status']}")
            self._require(time.monotonic() < deadline, f"the order is still {current} after {within:.0f} seconds")
            self._pause(step.tick, POLL_SECONDS)

    def _licenses(self) -> list[dict[str, Any]]:
        return [row for row in self._buyer.rows("/licenses/mine") if str(row["order_id"]) == self.state.order_id]

    def _transfers_when(self, step: Step, is_settled: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
        """Wait until both sellers of the order have a transfer and all transfers are settled."""
        deadline = time.monotonic() + STEP_SECONDS
        while True:
            rows = [row for seller in self._sellers for row in seller.rows("/connect/transfers")]
            self.state.transfers = [row for row in rows if str(row["order_id"]) == self.state.order_id]
            if len(self.state.transfers) == 2 and all(is_settled(row) for row in self.state.transfers):
                return self.state.transfers
            states = ", ".join(row["status"] for row in self.state.transfers) or "none"
            self._require(time.monotonic() < deadline, f"after {STEP_SECONDS:.0f} seconds the transfers are: {states}")
            self._pause(step.tick, POLL_SECONDS)

    @contextmanager
    def _step(self, title: str) -> Iterator[Step]:
        try:
            with self._screen.step(title) as step:
                yield step
        except UnexpectedAnswer as answer:
            raise StepFailure(str(answer)) from None
        except (KeyError, TypeError, ValueError) as error:
            raise StepFailure(f"An answer has an unexpected shape: {error!r}") from error

    @staticmethod
    def _require(condition: bool, otherwise: str) -> None:
        if not condition:
            raise StepFailure(otherwise)


def format_money(amount_minor: int, currency: str) -> str:
    """Format an amount. The demo's catalogue has only currencies with two decimals."""
    return f"{amount_minor / 100:,.2f} {currency}"


def _format_amount(row: dict[str, Any]) -> str:
    return format_money(row["amount_minor"], row["currency"])
