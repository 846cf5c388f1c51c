"""Steps 1 to 6: from the log-in to the licence."""

import time
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

from acceptance import provider
from acceptance.caller import Answer, NoRows
from acceptance.person import said_yes
from acceptance.walk import PASS, Outcome, StepFailed, Walk, expected
from veza.core.money import format_amount

NOTHING_LEFT_TO_PAY = 409
DEAD = ("failed", "cancelled", "expired")


def log_in(walk: Walk) -> Outcome:
    answer = expected(walk.buyer.log_in(walk.wishes.email, walk.wishes.password), 200)
    if walk.wishes.staff:
        email = walk.wishes.staff_email or walk.wishes.email
        password = walk.wishes.staff_password or walk.wishes.password
        expected(walk.staff.log_in(email, password), 200)
    return Outcome(PASS, f"logged in as {walk.wishes.email}", answer.request_id)


def choose_product(walk: Walk) -> Outcome:
    """The wished product, or the cheapest there is. An exclusive licence is never bought: it would be gone."""
    try:
        products = list(walk.buyer.rows("/marketplace/products"))
    except NoRows as nothing:
        raise StepFailed(f"no list of products: {nothing}", nothing.answer.request_id) from None
    wished = walk.wishes.product
    offers = [
        (offer["price_minor"], product["id"], product["title"], offer)
        for product in products
        for offer in product["offers"]
        if offer["license"] == walk.wishes.license and offer["price_minor"] > 0 and wished in ("", product["id"])
    ]
    if not offers:
        raise StepFailed(f"none of {len(products)} products is for sale as {walk.wishes.license}, at a price")
    price, product_id, title, offer = min(offers, key=lambda found: found[:2])
    if walk.wishes.limit_minor and price > walk.wishes.limit_minor:
        raise StepFailed(f"{title} costs {format_amount(price, offer['currency'])}: more than the limit of this run")
    walk.remember("product", {"id": product_id, "title": title, "price_minor": price, "currency": offer["currency"]})
    return Outcome(PASS, f"{title}, {walk.wishes.license}, {format_amount(price, offer['currency'])}", product_id)


def place_order(walk: Walk) -> Outcome:
    """The key is written down before the call: after an interruption the same order is found, not made again."""
    key = walk.remember("order_key", str(uuid4()))
    product = walk.facts["product"]
    wish = {"items": [{"product_id": product["id"], "license": walk.wishes.license}]}
    answer = expected(walk.buyer.post("/marketplace/orders", wish, key=key), 201, 202)
    order = answer.body
    walk.remember("order_id", order["order_id"])
    url = order["payment_url"] or walk.poll(_order(walk), _payment_url, waiting_for="payment page")
    if order["subtotal_minor"] + order["tax_minor"] != order["total_minor"]:
        raise StepFailed(f"subtotal {order['subtotal_minor']} and tax {order['tax_minor']} miss {order['total_minor']}")
    if order["subtotal_minor"] != product["price_minor"]:
        raise StepFailed(f"the catalogue says {product['price_minor']}, the order {order['subtotal_minor']}")
    walk.remember("payment_url", url)
    walk.remember("total", {"minor": order["total_minor"], "currency": order["currency"]})
    total, tax = (format_amount(order[name], order["currency"]) for name in ("total_minor", "tax_minor"))
    trace = f"order {order['order_id']}, payment {order['hyperswitch_payment_id']}, {answer.request_id}"
    return Outcome(PASS, f"{total}, of it {tax} VAT", trace)


def pay(walk: Walk) -> Outcome:
    """Whose money it is comes first: nobody is sent to a page that does not prove to be what this run is about."""
    url = walk.facts["payment_url"]
    if _order(walk)().body["status"] == "completed":  # Paid before an interruption, and never said so.
        walk.remember("paid_at", time.time())
        return Outcome(PASS, "it was paid before", url)
    page = walk.buyer.page(url)
    mode = provider.mode_of(url, page)
    walk.remember("provider", mode)
    if walk.wishes.live and mode != provider.LIVE:
        raise StepFailed(f"this is no live run: the payment page does not prove to be live (it is {mode})", url)
    if not walk.wishes.live and mode == provider.LIVE:
        raise StepFailed("the payment page is live: a real card would be charged in a dry run", url)
    observed = _press(walk, url, page) if walk.wishes.pay == "sandbox" else _ask_to_pay(walk, url)
    walk.remember("paid_at", time.time())
    return Outcome(PASS, f"{observed}; the provider is {mode}", url)


def _press(walk: Walk, url: str, page: Answer) -> str:
    if not provider.is_our_sandbox(page):
        raise StepFailed("only the sandbox's page may be paid by a machine, and this is another", url)
    answer = expected(walk.buyer.page(url, {"action": "pay"}), 302, 303, NOTHING_LEFT_TO_PAY)
    came_back = parse_qs(urlsplit(answer.headers.get("location", "")).query)
    status = came_back.get("status", ["unknown"])[0]
    if status == "failed":
        raise StepFailed("the provider says that the payment failed", url)
    return f"the sandbox's button was pressed, it says {status}"


def _ask_to_pay(walk: Walk, url: str) -> str:
    walk.person.tell(f"\n    Pay here in your browser:\n\n    {url}\n")
    if not walk.person.is_there:
        return "the address was shown; nobody is at the terminal"
    if walk.person.ask("    Press Enter when you have paid, or n if you could not:").lower() in ("n", "no"):
        raise StepFailed("the person could not pay", url)
    return "the person has paid"


def wait_until_completed(walk: Walk) -> Outcome:
    def completed(answer: Answer) -> dict[str, Any] | None:
        order: dict[str, Any] = answer.body
        if order["status"] in DEAD:
            raise StepFailed(f"the order is {order['status']} ({walk.polling})", answer.request_id)
        return order if order["status"] == "completed" else None

    walk.poll(_order(walk), completed, waiting_for="completed order")
    seconds = walk.remember("completed_seconds", round(time.time() - walk.facts["paid_at"], 1))
    return Outcome(PASS, f"completed {seconds} s after paying; {walk.polling}", walk.facts["order_id"])


def see_license(walk: Walk) -> Outcome:
    found = licenses(walk)
    if len(found) != 1:
        raise StepFailed(f"one licence was bought, /licenses/mine has {len(found)} of this order")
    (license_,) = found
    if license_["product_id"] != walk.facts["product"]["id"]:
        raise StepFailed(f"the licence is for another product: {license_['product_id']}")
    return Outcome(PASS, f"{license_['license']} licence is {license_['status']}", license_["id"])


def licenses(walk: Walk) -> list[dict[str, Any]]:
    """The active licences of this order. Raises StepFailed when they cannot be read."""
    try:
        rows = list(walk.buyer.rows("/licenses/mine"))
    except NoRows as nothing:
        raise StepFailed(f"no list of licences: {nothing}", nothing.answer.request_id) from None
    return [row for row in rows if row["order_id"] == walk.facts["order_id"]]


def wants_refund(walk: Walk) -> bool:
    """Opt-in: only a clear yes gives the money back."""
    match walk.wishes.refund:
        case "yes":
            return True
        case "no":
            return False
        case _:
            return said_yes(walk.person.ask("    Refund this purchase? y/N:"))


def _order(walk: Walk) -> Any:
    return lambda: walk.buyer.get(f"/marketplace/orders/{walk.facts['order_id']}")


def _payment_url(answer: Answer) -> str | None:
    url = answer.body["payment_url"]
    return str(url) if url else None
