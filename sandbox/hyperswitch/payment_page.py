"""The hosted payment page: what a buyer sees, and what the three buttons do."""

from __future__ import annotations

from html import escape
from typing import Any
from urllib.parse import urlencode

from sandbox.clock import now
from sandbox.exchange import Answer, Request, see_other
from sandbox.hyperswitch.changes import apply_attempt
from sandbox.hyperswitch.objects import Payment
from sandbox.pages import facts, money, page
from sandbox.settings import MERCHANT_ID
from sandbox.world import World

NOTE = "No money moves and no card is needed."
ACTIONS = ("pay", "decline", "abandon")
PAYABLE = ("requires_payment_method", "requires_confirmation", "requires_customer_action", "failed")
STATES = {
    "succeeded": ("good", "This payment has been made", "There is nothing left to pay."),
    "partially_captured": ("good", "This payment has been made in part", "There is nothing left to do here."),
    "processing": ("", "This payment is being processed", "The bank has not answered yet."),
    "cancelled": ("bad", "This payment was cancelled", "The shop has cancelled it. Nothing was charged."),
    "expired": (
        "bad",
        "This payment has expired",
        "Go back to the shop to start again. Nothing was charged.",
    ),
}
OTHER_STATE = ("", "This payment cannot be paid here", "Go back to the shop to see what has become of it.")


def show_payment_page(world: World, _request: Request, merchant_id: str, payment_id: str) -> Answer:
    payment = _linked(world, merchant_id, payment_id)
    return _page(payment) if payment else _not_found()


def press_button(world: World, request: Request, merchant_id: str, payment_id: str) -> Answer:
    """`action=pay|decline|abandon`; then back to the shop. A page whose time is over changes nothing."""
    payment = _linked(world, merchant_id, payment_id)
    if payment is None:
        return _not_found()
    if not _payable(payment):
        return _page(payment, refused=True)
    action = request.form_value("action")
    if action not in ACTIONS:
        return _page(payment, status=400)
    if action == "pay":
        apply_attempt(world, payment, world.settings.payment_outcome)
    elif action == "decline":
        apply_attempt(world, payment, "failed")
    return see_other(return_address(payment))


def return_address(payment: Payment) -> str:
    """Where the browser goes on. A hint for the shop, never a proof."""
    query: dict[str, Any] = {
        "status": payment.status,
        "payment_id": payment.payment_id,
        "payment_intent_client_secret": payment.client_secret,
    }
    if payment.status == "failed":
        query["manual_retry_allowed"] = "true"
    url, hash_mark, fragment = str(payment.asked["return_url"]).partition("#")
    return f"{url}{'&' if '?' in url else '?'}{urlencode(query)}{hash_mark}{fragment}"


def _linked(world: World, merchant_id: str, payment_id: str) -> Payment | None:
    payment = world.payments.get(payment_id)
    return payment if payment and payment.link and merchant_id == MERCHANT_ID else None


def _payable(payment: Payment) -> bool:
    return payment.status in PAYABLE and not payment.expired(now())


def _page(payment: Payment, *, refused: bool = False, status: int = 200) -> Answer:
    if _payable(payment):
        body, title = (
            _buttons(payment),
            f"Pay {money(payment.net_amount, payment.currency)} {payment.currency}",
        )
    else:
        state = "expired" if payment.status in PAYABLE else payment.status
        kind, title, text = STATES.get(state, OTHER_STATE)
        back = escape(return_address(payment))
        body = (
            f'<p class="note {kind}" role="status"><strong>{escape(title)}.</strong> {escape(text)}</p>'
            f'<a class="button" href="{back}">Back to the shop</a>'
        )
        status = 410 if state == "expired" else 409 if refused else 200
    content = f'<section class="card">{_summary(payment)}{body}</section>{_FOOT}'
    return page(title, NOTE, content, status=status, goes_to=payment.asked["return_url"])


_FOOT = '<p class="foot">A stand-in for the hosted payment page of Hyperswitch.</p>'


def _summary(payment: Payment) -> str:
    config = payment.asked.get("payment_link_config") or {}
    seller = str(config.get("seller_name") or "Demo shop")
    description = payment.asked.get("description") or "Your order"
    lines = payment.asked.get("order_details") or []
    rows: list[tuple[str, str | None]] = [(_line_name(line), _line_total(line, payment)) for line in lines[:8]]
    rows += [
        ("Order", payment.asked.get("merchant_order_reference_id")),
        ("Merchant", MERCHANT_ID),
        ("Payment", payment.payment_id),
        ("Pay until", payment.expires.strftime("%d %B %Y, %H:%M UTC") if _payable(payment) else None),
    ]
    amount = money(payment.net_amount, payment.currency)
    return (
        f'<p class="seller">{escape(seller)}</p><h1>{escape(str(description))}</h1>'
        f'<p class="amount">{amount} <small>{payment.currency}</small></p>{facts(rows)}'
    )


def _line_name(line: dict[str, Any]) -> str:
    return f"{line['quantity']} \N{MULTIPLICATION SIGN} {line['product_name']}"


def _line_total(line: dict[str, Any], payment: Payment) -> str:
    return f"{money(line['amount'] * line['quantity'], payment.currency)} {payment.currency}"


def _buttons(payment: Payment) -> str:
    declined = (
        '<p class="note bad" role="alert"><strong>The card was declined.</strong> Nothing was charged.'
        " You can try again.</p>"
        if payment.status == "failed"
        else ""
    )
    pay = f"Pay {money(payment.net_amount, payment.currency)} {payment.currency}"
    return (
        f'{declined}<form method="post"><button class="main" name="action" value="pay">{pay}</button>'
        '<button name="action" value="decline">Decline</button>'
        '<button name="action" value="abandon">Abandon</button></form>'
    )


def _not_found() -> Answer:
    text = "Check the address, or go back to the shop and start again."
    content = f'<section class="card"><h1>There is no such payment</h1><p class="note">{text}</p></section>'
    return page("No such payment", NOTE, content, status=404)
