"""All addresses of the sandbox in one table."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from sandbox import front
from sandbox.control import hyperswitch as banks
from sandbox.control import state, webhooks
from sandbox.control import stripe as dashboard
from sandbox.control.door import ControlDoor
from sandbox.exchange import Answer, Execute, Request
from sandbox.hyperswitch import disputes, lists, methods, payment_page, payments, refunds
from sandbox.hyperswitch.door import HyperswitchDoor
from sandbox.mail import pages as mail
from sandbox.stripe import accounts, onboarding, payouts, reversals, transfers
from sandbox.stripe.door import StripeDoor
from sandbox.world import World

Handler = Callable[..., Answer]  # (world, request, *ids in the path)


class Door(Protocol):
    """What a provider does with a call before and after its handler: authentication, errors, headers."""

    def open(self, world: World, request: Request) -> Answer | None: ...
    def perform(self, request: Request, execute: Execute) -> Answer: ...
    def close(self, world: World, request: Request, answer: Answer | None) -> None: ...
    def dress(self, request: Request, answer: Answer) -> Answer: ...
    def trouble(self, status: int) -> Answer: ...


HYPERSWITCH, STRIPE, CONTROL, PUBLIC = HyperswitchDoor(), StripeDoor(), ControlDoor(), front.PublicDoor()


@dataclass(frozen=True)
class Route:
    method: str
    template: str
    handler: Handler
    door: Door
    pattern: re.Pattern[str]
    needs_lock: bool = True  # False: the handler acquires the lock itself


def _route(door: Door, method: str, template: str, handler: Handler, *, needs_lock: bool = True) -> Route:
    pattern = re.compile(re.sub(r"\{\w+\}", r"([^/]+)", template))
    return Route(method, template, handler, door, pattern, needs_lock)


ROUTES = [
    _route(PUBLIC, "GET", "/", front.show_front),
    _route(PUBLIC, "GET", "/health", front.show_health),
    _route(PUBLIC, "GET", "/health/ready", front.show_ready),
    _route(PUBLIC, "GET", "/payment_link/{merchant_id}/{payment_id}", payment_page.show_payment_page),
    _route(PUBLIC, "POST", "/payment_link/{merchant_id}/{payment_id}", payment_page.press_button),
    _route(PUBLIC, "GET", "/setup/{account}/{token}", onboarding.show_onboarding),
    _route(PUBLIC, "POST", "/setup/{account}/{token}", onboarding.finish_onboarding),
    _route(PUBLIC, "GET", "/mailbox", mail.show_mailbox),
    _route(PUBLIC, "GET", "/mailbox/{number}", mail.show_mail),
    _route(PUBLIC, "GET", "/mailbox/{number}/html", mail.show_html),
    # Hyperswitch
    _route(HYPERSWITCH, "POST", "/payments", payments.create_payment),
    _route(HYPERSWITCH, "GET", "/payments/list", lists.list_payments),
    _route(HYPERSWITCH, "GET", "/payments/{payment_id}", payments.read_payment),
    _route(HYPERSWITCH, "POST", "/payments/{payment_id}", payments.update_payment),
    _route(HYPERSWITCH, "POST", "/payments/{payment_id}/confirm", payments.confirm_payment),
    _route(HYPERSWITCH, "POST", "/payments/{payment_id}/capture", payments.capture_payment),
    _route(HYPERSWITCH, "POST", "/payments/{payment_id}/cancel", payments.cancel_payment),
    _route(HYPERSWITCH, "POST", "/refunds", refunds.create_refund),
    _route(HYPERSWITCH, "POST", "/refunds/list", lists.list_refunds),
    _route(HYPERSWITCH, "POST", "/refunds/sync", refunds.sync_refund),
    _route(HYPERSWITCH, "GET", "/refunds/{refund_id}", refunds.read_refund),
    _route(HYPERSWITCH, "POST", "/refunds/{refund_id}", refunds.update_refund),
    _route(HYPERSWITCH, "GET", "/disputes/list", disputes.list_disputes),
    _route(HYPERSWITCH, "GET", "/disputes/{dispute_id}", disputes.read_dispute),
    _route(HYPERSWITCH, "DELETE", "/payment_methods/{method_id}", methods.delete_method),
    # Stripe
    _route(STRIPE, "POST", "/v1/transfers", transfers.create_transfer),
    _route(STRIPE, "GET", "/v1/transfers", transfers.list_transfers),
    _route(STRIPE, "GET", "/v1/transfers/{transfer}", transfers.read_transfer),
    _route(STRIPE, "POST", "/v1/transfers/{transfer}", transfers.update_transfer),
    _route(STRIPE, "POST", "/v1/transfers/{transfer}/reversals", reversals.create_reversal),
    _route(STRIPE, "GET", "/v1/transfers/{transfer}/reversals", reversals.list_reversals),
    _route(STRIPE, "GET", "/v1/transfers/{transfer}/reversals/{reversal}", reversals.read_reversal),
    _route(STRIPE, "POST", "/v1/transfers/{transfer}/reversals/{reversal}", reversals.update_reversal),
    _route(STRIPE, "POST", "/v1/accounts", accounts.create_account),
    _route(STRIPE, "GET", "/v1/account", accounts.read_own_account),
    _route(STRIPE, "GET", "/v1/accounts/{account}", accounts.read_account),
    _route(STRIPE, "GET", "/v1/accounts/{account}/capabilities/{capability}", accounts.read_capability),
    _route(STRIPE, "POST", "/v1/account_links", onboarding.create_account_link),
    _route(STRIPE, "GET", "/v1/balance", accounts.read_balance),
    _route(STRIPE, "POST", "/v1/payouts", payouts.create_payout),
    _route(STRIPE, "GET", "/v1/payouts", payouts.list_payouts),
    _route(STRIPE, "GET", "/v1/payouts/{payout}", payouts.read_payout),
    # Control
    _route(CONTROL, "POST", "/_control/reset", state.reset),
    _route(CONTROL, "GET", "/_control/settings", state.show_settings),
    _route(CONTROL, "PATCH", "/_control/settings", state.change_settings),
    _route(CONTROL, "POST", "/_control/faults", state.arm_fault),
    _route(CONTROL, "GET", "/_control/faults", state.show_faults),
    _route(CONTROL, "DELETE", "/_control/faults", state.remove_faults),
    _route(CONTROL, "POST", "/_control/forget_idempotency_keys", state.forget_idempotency_keys),
    _route(CONTROL, "POST", "/_control/webhook_faults", webhooks.arm_webhook_fault),
    _route(CONTROL, "GET", "/_control/webhook_faults", webhooks.show_webhook_faults),
    _route(CONTROL, "DELETE", "/_control/webhook_faults", webhooks.remove_webhook_faults),
    _route(CONTROL, "GET", "/_control/webhooks", webhooks.show_webhooks),
    _route(CONTROL, "POST", "/_control/webhooks/release", webhooks.release, needs_lock=False),
    _route(CONTROL, "POST", "/_control/webhooks/{event_id}/send", webhooks.send_again, needs_lock=False),
    _route(CONTROL, "POST", "/_control/payments/{payment_id}", banks.force_payment),
    _route(CONTROL, "POST", "/_control/refunds/{refund_id}", banks.force_refund),
    _route(CONTROL, "POST", "/_control/dashboard_refunds", banks.refund_at_dashboard),
    _route(CONTROL, "POST", "/_control/disputes", banks.open_dispute),
    _route(CONTROL, "POST", "/_control/disputes/{dispute_id}", banks.force_dispute),
    _route(CONTROL, "POST", "/_control/customers/{customer_id}", banks.set_customer),
    _route(CONTROL, "POST", "/_control/mandates/{payment_method_id}", banks.revoke_mandate),
    _route(CONTROL, "POST", "/_control/transfers/{transfer}/reverse", dashboard.reverse_at_dashboard),
    _route(CONTROL, "POST", "/_control/accounts/{account}", dashboard.force_account),
    _route(CONTROL, "POST", "/_control/payouts/{payout}", dashboard.force_payout),
    _route(CONTROL, "POST", "/_control/balances", dashboard.set_balance),
    _route(CONTROL, "POST", "/_control/mail_faults", state.arm_mail_fault),
    _route(CONTROL, "GET", "/_truth", state.show_truth),
    _route(CONTROL, "GET", "/_truth/calls", state.show_calls),
    _route(CONTROL, "GET", "/_truth/objects", state.show_objects),
    _route(CONTROL, "GET", "/_truth/emails", mail.show_emails),
    _route(CONTROL, "GET", "/_truth/message_ids", mail.show_message_ids),
]


@dataclass(frozen=True)
class RouteMatch:
    """Where a request goes: a route and the ids in its path; without a route, only the provider."""

    door: Door
    route: Route | None = None
    ids: tuple[str, ...] = ()
    wrong_method: bool = False


def find(method: str, path: str) -> RouteMatch:
    wrong_method = False
    for route in ROUTES:
        match = route.pattern.fullmatch(path)
        if match and route.method == method:
            return RouteMatch(route.door, route, match.groups())
        wrong_method = wrong_method or bool(match)
    return RouteMatch(_owner(path), wrong_method=wrong_method)


def _owner(path: str) -> Door:
    if path.startswith(("/_control", "/_truth")):
        return CONTROL
    return STRIPE if path.startswith("/v1/") else HYPERSWITCH
