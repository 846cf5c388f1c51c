"""The walk of the demo: buy from two sellers, pay, see licences and transfers, refund, see both taken back.

Everything goes through HTTP, as a buyer and the sellers would do it. Every step holds or the walk ends there.
"""

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from dev.api import Caller, Unexpected, exchange
from dev.processes import Failure
from dev.terminal import Screen, Step

POLL_SECONDS = 0.2
STEP_SECONDS = 60.0
PERSON_SECONDS = 50 * 60.0  # An order that nobody pays within the hour is given up.

Pause = Callable[[Callable[[], None], float], None]


class StepFailed(Failure):
    """A step of the walk did not hold."""


@dataclass
class Story:
    """What the walk has seen so far."""

    order_id: str = ""
    refund_id: str = ""
    transfers: list[dict[str, Any]] = field(default_factory=list)
    order: dict[str, Any] = field(default_factory=dict)


class RoundTrip:
    """Purchase, licences, transfers, refund, reversals. `pause` waits while watching over the processes."""

    def __init__(self, base_url: str, people: dict[str, Any], password: str, screen: Screen, pause: Pause) -> None:
        self._base_url, self._people, self._password = base_url, people, password
        self._screen, self._pause = screen, pause
        self._buyer = Caller(base_url)
        self._sellers: list[Caller] = []
        self.story = Story()

    def walk(self, *, paid_by_person: bool) -> None:
        """Walk the whole way. Raises StepFailed at the first step that does not hold."""
        self._log_in()
        offers = self._choose_offers()
        self._place_order(offers)
        self._pay_in_browser() if paid_by_person else self._pay()
        self._see_order_completed(paid_by_person=paid_by_person)
        self._see_licenses()
        self._see_transfers()
        self._ask_refund()
        self._see_order_refunded()
        self._see_licenses_gone()
        self._see_transfers_reversed()

    def place_another_order(self) -> str:
        """Place an order that stays unpaid, and return the address of its payment page."""
        with self._step("A second order, left unpaid for you") as step:
            order = self._order([self._offer(next(iter(self._buyer.rows("/marketplace/products"))))])
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
            self._hold(len(by_seller) >= 2, f"two sellers are needed, the catalogue has {len(by_seller)}")
            step.note = f"{len(products)} products of {len(by_seller)} sellers"
            return [self._offer(product) for product in list(by_seller.values())[:2]]

    def _place_order(self, offers: list[dict[str, str]]) -> None:
        with self._step("Order from two sellers") as step:
            order = self._order(offers)
            self._hold(len(order["items"]) == 2, f"two items were ordered, the order has {len(order['items'])}")
            self._hold(
                order["subtotal_minor"] + order["tax_minor"] == order["total_minor"],
                "subtotal and tax miss the total",
            )
            self.story.order, self.story.order_id = order, str(order["order_id"])
            step.note = f"{self.story.order_id}, {money(order['total_minor'], order['currency'])}"

    def _pay(self) -> None:
        with self._step("Pay on the hosted payment page") as step:
            url = self.story.order["payment_url"]
            form = {"Content-Type": "application/x-www-form-urlencoded"}
            status, page = exchange("POST", url, urlencode({"action": "pay"}).encode(), form)
            self._hold(
                status in (200, 302, 303),
                f"the page answered {status}: {page[:300].decode(errors='replace')}",
            )
            step.note = self.story.order["hyperswitch_payment_id"]

    def _pay_in_browser(self) -> None:
        self._screen.say(f"\n    Pay here in your browser: {self.story.order['payment_url']}\n")

    def _see_order_completed(self, *, paid_by_person: bool) -> None:
        title = "Waiting for you to pay" if paid_by_person else "Webhook received, order completed"
        with self._step(title) as step:
            order = self._follow_order(step, "pending", "completed", PERSON_SECONDS if paid_by_person else STEP_SECONDS)
            step.note = f"order is {order['status']}"

    def _see_licenses(self) -> None:
        with self._step("Licences are active") as step:
            found = self._licenses()
            self._hold(len(found) == 2, f"two were bought, /licenses/mine has {len(found)} of this order")
            step.note = f"{len(found)} in /licenses/mine"

    def _see_transfers(self) -> None:
        with self._step("Sellers are paid at Stripe") as step:
            for email in self._people["sellers"]:
                seller = Caller(self._base_url)
                seller.log_in(email, self._password)
                self._sellers.append(seller)
            paid = self._transfers_when(step, lambda row: bool(row["stripe_transfer_id"]))
            step.note = ", ".join(f"{row['stripe_transfer_id']} {_amount(row)}" for row in paid)

    def _ask_refund(self) -> None:
        with self._step("Ask for a refund") as step:
            answer = self._buyer.post(
                f"/marketplace/orders/{self.story.order_id}/refund",
                {"reason": "The demo gives everything back."},
                expected=202,
                idempotency_key=str(uuid.uuid4()),
            )
            self.story.refund_id = str(answer["refund"]["id"])
            self._hold(answer["refund"]["status"] == "pending", f"the answer says {answer['refund']['status']}")
            step.note = f"{self.story.refund_id} is pending"

    def _see_order_refunded(self) -> None:
        with self._step("Refund webhook received, order refunded") as step:
            order = self._follow_order(step, "refund_pending", "refunded", STEP_SECONDS)
            self._hold(order["refund"] == "full", f"the order's refund is {order['refund']}")
            step.note = f"order is {order['status']}"

    def _see_licenses_gone(self) -> None:
        with self._step("Licences are gone") as step:
            left = self._licenses()
            self._hold(not left, f"/licenses/mine still has {len(left)} of this order")
            step.note = "none in /licenses/mine"

    def _see_transfers_reversed(self) -> None:
        with self._step("Transfers are reversed at Stripe") as step:
            back = self._transfers_when(
                step,
                lambda row: bool(row["stripe_reversal_id"]) and row["reversed_minor"] == row["amount_minor"],
            )
            step.note = ", ".join(f"{row['stripe_reversal_id']} {_amount(row)}" for row in back)

    def _order(self, items: list[dict[str, str]]) -> dict[str, Any]:
        key = str(uuid.uuid4())
        order: dict[str, Any] = self._buyer.post(
            "/marketplace/orders", {"items": items}, expected=201, idempotency_key=key
        )
        self._hold(bool(order["payment_url"]), "the order has no payment_url")
        return order

    @staticmethod
    def _offer(product: dict[str, Any]) -> dict[str, str]:
        return {"product_id": product["id"], "license": product["offers"][0]["license"]}

    def _follow_order(self, step: Step, before: str, wanted: str, within: float) -> dict[str, Any]:
        """Wait until the order has the wanted status; any other but the one before it is a failure."""
        deadline = time.monotonic() + within
        while True:
            order: dict[str, Any] = self._buyer.get(f"/marketplace/orders/{self.story.order_id}")
            if order["status"] == wanted:
                return order
            self._hold(order["status"] == before, f"the order is {order['status']}")
            self._hold(time.monotonic() < deadline, f"the order is still {before} after {within:.0f} seconds")
            self._pause(step.tick, POLL_SECONDS)

    def _licenses(self) -> list[dict[str, Any]]:
        return [row for row in self._buyer.rows("/licenses/mine") if str(row["order_id"]) == self.story.order_id]

    def _transfers_when(self, step: Step, holds: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
        """Wait until there is one transfer for each of the order's two sellers and all of them hold."""
        deadline = time.monotonic() + STEP_SECONDS
        while True:
            rows = [row for seller in self._sellers for row in seller.rows("/connect/transfers")]
            self.story.transfers = [row for row in rows if str(row["order_id"]) == self.story.order_id]
            if len(self.story.transfers) == 2 and all(holds(row) for row in self.story.transfers):
                return self.story.transfers
            states = ", ".join(row["status"] for row in self.story.transfers) or "none"
            self._hold(time.monotonic() < deadline, f"after {STEP_SECONDS:.0f} seconds the transfers are: {states}")
            self._pause(step.tick, POLL_SECONDS)

    @contextmanager
    def _step(self, title: str) -> Iterator[Step]:
        try:
            with self._screen.step(title) as step:
                yield step
        except Unexpected as answer:
            raise StepFailed(str(answer)) from None
        except (KeyError, TypeError, ValueError) as surprise:
            raise StepFailed(f"An answer has another shape: {surprise!r}") from surprise

    @staticmethod
    def _hold(condition: bool, otherwise: str) -> None:
        if not condition:
            raise StepFailed(otherwise)


def money(amount_minor: int, currency: str) -> str:
    """Write an amount for the screen. The demo's catalogue has only currencies with two decimals."""
    return f"{amount_minor / 100:,.2f} {currency}"


def _amount(row: dict[str, Any]) -> str:
    return money(row["amount_minor"], row["currency"])
