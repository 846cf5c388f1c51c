"""The hosted payment page and its three buttons."""

from __future__ import annotations

from html import escape
from typing import Any
from urllib.parse import urlencode

from sandbox.clock import now
from sandbox.exchange import Answer, Request, see_other
from sandbox.hyperswitch.changes import apply_attempt
from sandbox.hyperswitch.objects import Payment
from sandbox.pages import format_money, render_facts, render_page
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
OTHER_STATE = ("", "This payment cannot be paid here", "Go back to the shop to see its status.")


def show_payment_page(world: World, _request: Request, merchant_id: str, payment_id: str) -> Answer:
    payment = _find_linked(world, merchant_id, payment_id)
    return _render_page(payment) if payment else _render_not_found()


def press_button(world: World, request: Request, merchant_id: str, payment_id: str) -> Answer:
    """`action=pay|decline|abandon`; then back to the shop. An expired page changes nothing."""
    payment = _find_linked(world, merchant_id, payment_id)
    if payment is None:
        return _render_not_found()
    if not _is_payable(payment):
        return _render_page(payment, after_press=True)
    action = request.form_value("action")
    if action not in ACTIONS:
        return _render_page(payment, status=400)
    if action == "pay":
        apply_attempt(world, payment, world.settings.payment_outcome)
    elif action == "decline":
        apply_attempt(world, payment, "failed")
    return see_other(return_url_of(payment))


def return_url_of(payment: Payment) -> str:
    """Where the browser is redirected to: a hint for the shop, never a proof of payment."""
    query: dict[str, Any] = {
        "status": payment.status,
        "payment_id": payment.payment_id,
        "payment_intent_client_secret": payment.client_secret,
    }
    if payment.status == "failed":
        query["manual_retry_allowed"] = "true"
    url, hash_mark, fragment = str(payment.params["return_url"]).partition("#")
    return f"{url}{'&' if '?' in url else '?'}{urlencode(query)}{hash_mark}{fragment}"


def _find_linked(world: World, merchant_id: str, payment_id: str) -> Payment | None:
    payment = world.payments.get(payment_id)
    return payment if payment and payment.link and merchant_id == MERCHANT_ID else None


def _is_payable(payment: Payment) -> bool:
    return payment.status in PAYABLE and not payment.has_expired(now())


def _render_page(payment: Payment, *, after_press: bool = False, status: int = 200) -> Answer:
    if _is_payable(payment):
        body, title = (
            _render_buttons(payment),
            f"Pay {format_money(payment.net_amount, payment.currency)} {payment.currency}",
        )
    else:
        state = "expired" if payment.status in PAYABLE else payment.status
        kind, title, text = STATES.get(state, OTHER_STATE)
        back = escape(return_url_of(payment))
        body = (
            f'<p class="note {kind}" role="status"><strong>{escape(title)}.</strong> {escape(text)}</p>'
            f'<a class="button" href="{back}">Back to the shop</a>'
        )
        status = 410 if state == "expired" else 409 if after_press else 200
    content = f'<section class="card">{_render_summary(payment)}{body}</section>{_FOOT}'
    return render_page(title, NOTE, content, status=status, goes_to=payment.params["return_url"])


_FOOT = '<p class="foot">A stand-in for the hosted payment page of Hyperswitch.</p>'


def _render_summary(payment: Payment) -> str:
    config = payment.params.get("payment_link_config") or {}
    seller = str(config.get("seller_name") or "Demo shop")
    description = payment.params.get("description") or "Your order"
    lines = payment.params.get("order_details") or []
    rows: list[tuple[str, str | None]] = [(_line_name(line), _line_total(line, payment)) for line in lines[:8]]
    rows += [
        ("Order", payment.params.get("merchant_order_reference_id")),
        ("Merchant", MERCHANT_ID),
        ("Payment", payment.payment_id),
        ("Pay until", payment.expires_at.strftime("%d %B %Y, %H:%M UTC") if _is_payable(payment) else None),
    ]
    amount = format_money(payment.net_amount, payment.currency)
    return (
        f'<p class="seller">{escape(seller)}</p><h1>{escape(str(description))}</h1>'
        f'<p class="amount">{amount} <small>{payment.currency}</small></p>{render_facts(rows)}'
    )


def _line_name(line: dict[str, Any]) -> str:
    return f"{line['quantity']} \N{MULTIPLICATION SIGN} {line['product_name']}"


def _line_total(line: dict[str, Any], payment: Payment) -> str:
    return f"{format_money(line['amount'] * line['quantity'], payment.currency)} {payment.currency}"


def _render_buttons(payment: Payment) -> str:
    notice = (
        '<p class="note bad" role="alert"><strong>The card was declined.</strong> Nothing was charged.'
        " You can try again.</p>"
        if payment.status == "failed"
        else ""
    )
    pay = f"Pay {format_money(payment.net_amount, payment.currency)} {payment.currency}"
    return (
        f'{notice}<form method="post"><button class="main" name="action" value="pay">{pay}</button>'
        '<button name="action" value="decline">Decline</button>'
        '<button name="action" value="abandon">Abandon</button></form>'
    )


def _render_not_found() -> Answer:
    text = "Check the address, or go back to the shop and start again."
    content = f'<section class="card"><h1>This payment does not exist</h1><p class="note">{text}</p></section>'
    return render_page("No such payment", NOTE, content, status=404)
