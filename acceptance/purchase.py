"""Steps 1 to 6: from the log-in to the licence."""

import time
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

from acceptance import provider
from acceptance.caller import Answer, NoRows
from acceptance.operator import is_yes
from acceptance.walk import PASS, Outcome, StepFailure, Walk, require_status
from veza.core.money import format_amount

ALREADY_PAID = 409
FINAL_FAILURES = ("failed", "cancelled", "expired")


def log_in(walk: Walk) -> Outcome:
    answer = require_status(walk.buyer.log_in(walk.options.email, walk.options.password), 200)
    if walk.options.staff:
        walk.staff.use_token(walk.options.staff_token)
    return Outcome(PASS, f"logged in as {walk.options.email}", answer.request_id)


def choose_product(walk: Walk) -> Outcome:
    """Choose the product from the options, or the cheapest. Exclusive licences are never bought: each exists once."""
    try:
        products = list(walk.buyer.rows("/marketplace/products"))
    except NoRows as error:
        raise StepFailure(f"no list of products: {error}", error.answer.request_id) from None
    product_filter = walk.options.product
    offers = [
        (offer["price_minor"], product["id"], product["title"], offer)
        for product in products
        for offer in product["offers"]
        if offer["license"] == walk.options.license
        and offer["price_minor"] > 0
        and product_filter in ("", product["id"])
    ]
    if not offers:
        raise StepFailure(f"none of {len(products)} products has a {walk.options.license} licence for sale")
    price, product_id, title, offer = min(offers, key=lambda candidate: candidate[:2])
    if walk.options.limit_minor and price > walk.options.limit_minor:
        raise StepFailure(f"{title} costs {format_amount(price, offer['currency'])}: more than the limit of this run")
    walk.remember("product", {"id": product_id, "title": title, "price_minor": price, "currency": offer["currency"]})
    return Outcome(PASS, f"{title}, {walk.options.license}, {format_amount(price, offer['currency'])}", product_id)


def place_order(walk: Walk) -> Outcome:
    """Place the order. The key is logged before the call: a resumed run finds the same order."""
    key = walk.remember("order_key", str(uuid4()))
    product = walk.facts["product"]
    payload = {"items": [{"product_id": product["id"], "license": walk.options.license}]}
    answer = require_status(walk.buyer.post("/marketplace/orders", payload, key=key), 201, 202)
    order = answer.body
    walk.remember("order_id", order["order_id"])
    url = order["payment_url"] or walk.poll(_order_call(walk), _payment_url, waiting_for="payment page")
    if order["subtotal_minor"] + order["tax_minor"] != order["total_minor"]:
        raise StepFailure(
            f"subtotal {order['subtotal_minor']} and tax {order['tax_minor']} miss {order['total_minor']}"
        )
    if order["subtotal_minor"] != product["price_minor"]:
        raise StepFailure(f"the catalogue says {product['price_minor']}, the order {order['subtotal_minor']}")
    walk.remember("payment_url", url)
    walk.remember("total", {"minor": order["total_minor"], "currency": order["currency"]})
    total, tax = (format_amount(order[name], order["currency"]) for name in ("total_minor", "tax_minor"))
    trace = f"order {order['order_id']}, payment {order['hyperswitch_payment_id']}, {answer.request_id}"
    return Outcome(PASS, f"{total}, incl. {tax} VAT", trace)


def pay(walk: Walk) -> Outcome:
    """Pay, but only after the page has proved the mode of this run."""
    url = walk.facts["payment_url"]
    if _order_call(walk)().body["status"] == "completed":  # Paid before an interruption, but not logged.
        walk.remember("paid_at", time.time())
        return Outcome(PASS, "it was already paid", url)
    page = walk.buyer.page(url)
    mode = provider.mode_of(url, page)
    walk.remember("provider", mode)
    if walk.options.live and mode != provider.LIVE:
        raise StepFailure(f"the payment page does not prove to be live (it is {mode}), so this is not a live run", url)
    if not walk.options.live and mode == provider.LIVE:
        raise StepFailure("the payment page is live: a real card would be charged in a dry run", url)
    observation = _pay_on_sandbox(walk, url, page) if walk.options.pay == "sandbox" else _ask_operator_to_pay(walk, url)
    walk.remember("paid_at", time.time())
    return Outcome(PASS, f"{observation}; the provider is {mode}", url)


def _pay_on_sandbox(walk: Walk, url: str, page: Answer) -> str:
    if not provider.is_our_sandbox(page):
        raise StepFailure("only the sandbox's page may be paid automatically, and this is another page", url)
    answer = require_status(walk.buyer.page(url, {"action": "pay"}), 302, 303, ALREADY_PAID)
    query = parse_qs(urlsplit(answer.headers.get("location", "")).query)
    status = query.get("status", ["unknown"])[0]
    if status == "failed":
        raise StepFailure("the provider says that the payment failed", url)
    return f"paid on the sandbox's page, status {status}"


def _ask_operator_to_pay(walk: Walk, url: str) -> str:
    walk.operator.tell(f"\n    Pay here in your browser:\n\n    {url}\n")
    if not walk.operator.is_present:
        return "the address was printed; no operator is at the terminal"
    if walk.operator.ask("    Press Enter when you have paid, or n if you could not:").lower() in ("n", "no"):
        raise StepFailure("the operator could not pay", url)
    return "the operator has paid"


def wait_until_completed(walk: Walk) -> Outcome:
    def check_completed(answer: Answer) -> dict[str, Any] | None:
        order: dict[str, Any] = answer.body
        if order["status"] in FINAL_FAILURES:
            raise StepFailure(f"the order is {order['status']} ({walk.polling})", answer.request_id)
        return order if order["status"] == "completed" else None

    walk.poll(_order_call(walk), check_completed, waiting_for="completed order")
    seconds = walk.remember("completed_seconds", round(time.time() - walk.facts["paid_at"], 1))
    return Outcome(PASS, f"completed {seconds} s after paying; {walk.polling}", walk.facts["order_id"])


def check_license(walk: Walk) -> Outcome:
    rows = licenses(walk)
    if len(rows) != 1:
        raise StepFailure(f"one licence was bought, /licenses/mine has {len(rows)} of this order")
    (license_,) = rows
    if license_["product_id"] != walk.facts["product"]["id"]:
        raise StepFailure(f"the licence is for another product: {license_['product_id']}")
    return Outcome(PASS, f"{license_['license']} licence is {license_['status']}", license_["id"])


def licenses(walk: Walk) -> list[dict[str, Any]]:
    """The active licences of this order. Raises StepFailure when they cannot be read."""
    try:
        rows = list(walk.buyer.rows("/licenses/mine"))
    except NoRows as error:
        raise StepFailure(f"no list of licences: {error}", error.answer.request_id) from None
    return [row for row in rows if row["order_id"] == walk.facts["order_id"]]


def wants_refund(walk: Walk) -> bool:
    """Whether to refund: opt-in, only after a clear yes."""
    match walk.options.refund:
        case "yes":
            return True
        case "no":
            return False
        case _:
            return is_yes(walk.operator.ask("    Refund this purchase? y/N:"))


def _order_call(walk: Walk) -> Any:
    return lambda: walk.buyer.get(f"/marketplace/orders/{walk.facts['order_id']}")


def _payment_url(answer: Answer) -> str | None:
    url = answer.body["payment_url"]
    return str(url) if url else None
