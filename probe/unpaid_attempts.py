"""Attempts to get paid rights without paying. Each returns what got through; an empty list is good."""

import hashlib
import hmac
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from probe.attacker import Attacker, Inconclusive

Plan = dict[str, Any]
AT_ONCE = 6


@dataclass(frozen=True)
class Plans:
    """The plans to attack: one that costs and allows something; one with a trial and a free one, if any."""

    paid_plan: Plan
    trial_plan: Plan | None
    free_plan: Plan | None


@dataclass(frozen=True)
class Attempt:
    """One attack. `needs` names the plan that it depends on."""

    name: str
    sentence: str
    run: Callable[[Attacker, Plans], list[str]]
    needs: str = "paid_plan"


def choose(plans: Sequence[Plan]) -> Plans:
    """Choose the plans to attack. Raises Inconclusive when no plan both costs and allows something."""
    costly = [plan for plan in plans if plan["price_minor"] and _allows(plan)]
    if not costly:
        raise Inconclusive("No plan both costs and allows something: there is nothing to attack.")
    # Preferably one without a trial: subscribing to it waits for a payment, whatever the account did before.
    paid_plan = min(costly, key=lambda plan: bool(plan["trial_days"]))
    trial_plan = next((plan for plan in costly if plan["trial_days"]), None)
    free_plan = next((plan for plan in plans if not plan["price_minor"] and not _allows(plan)), None)
    return Plans(paid_plan, trial_plan, free_plan)


def _allows(plan: Plan) -> bool:
    return bool(plan["can_sell_on_marketplace"] or plan["can_distribute"])


def try_twice(attacker: Attacker, plans: Plans) -> list[str]:
    assert plans.trial_plan is not None, "runs only if a plan has a trial"
    attacker.subscribe(plans.trial_plan)
    attacker.cancel(now=True)
    doors = [f"after cancelling a trial: {door}" for door in attacker.open_doors()]
    attacker.subscribe(plans.trial_plan)
    return doors + [f"on a second trial: {door}" for door in attacker.open_doors()]


def subscribe_and_use(attacker: Attacker, plans: Plans) -> list[str]:
    attacker.subscribe(plans.paid_plan)
    return attacker.open_doors()


def forge_webhook(attacker: Attacker, plans: Plans) -> list[str]:
    body = _success_webhook(attacker.subscribe(plans.paid_plan))
    signatures = {
        "no signature": None,
        "an empty signature": "",
        "a signature of zeros": "00" * 64,
        "a signature under an empty secret": hmac.new(b"", body, hashlib.sha512).hexdigest(),
        "a plain hash as signature": hashlib.sha512(body).hexdigest(),
    }
    acceptances = [
        f"a webhook with {name} was accepted"
        for name, signature in signatures.items()
        if attacker.deliver(body, signature) < 300
    ]
    return acceptances + attacker.open_doors()


def replay_webhook(attacker: Attacker, plans: Plans) -> list[str]:
    """Replay another account's delivery, unchanged and with our payment in it."""
    body = _success_webhook(attacker.subscribe(plans.paid_plan))
    capture = attacker.capture
    signature = capture.signature if capture else hashlib.sha512(b"of another's delivery").hexdigest()
    if capture is not None:
        attacker.deliver(capture.body.encode(), signature)  # A duplicate: accepted without effect.
    is_accepted = attacker.deliver(body, signature) < 300
    return (["a webhook with another delivery's signature was accepted"] if is_accepted else []) + attacker.open_doors()


def complete_without_paying(attacker: Attacker, plans: Plans) -> list[str]:
    subscription = attacker.subscribe(plans.paid_plan)
    for _ in range(2):
        payment = attacker.complete(str(subscription.get("id")))
        attacker.come_back(str(payment.get("hyperswitch_payment_id")))
    return attacker.open_doors()


def cancel_and_keep(attacker: Attacker, plans: Plans) -> list[str]:
    subscription = attacker.subscribe(plans.paid_plan)
    attacker.cancel(now=False)
    doors = attacker.open_doors()
    attacker.change(plans.paid_plan)
    attacker.complete(str(subscription.get("id")))
    return doors + attacker.open_doors()


def change_for_nothing(attacker: Attacker, plans: Plans) -> list[str]:
    assert plans.free_plan is not None, "runs only if a plan is free"
    attacker.subscribe(plans.free_plan)
    attacker.change(plans.paid_plan)
    # A free plan is active but allows nothing.
    return [door for door in attacker.open_doors() if not door.startswith("GET /me")]


def race_subscribes(attacker: Attacker, plans: Plans) -> list[str]:
    subscriptions = attacker.subscribe_at_once(plans.paid_plan, times=AT_ONCE)
    statuses = [subscription.get("status") for subscription in subscriptions]
    doors = [f"subscribing {AT_ONCE} times at once: active" for status in statuses if status == "active"]
    return doors + attacker.open_doors()


ATTEMPTS = (
    Attempt("try_twice", "start a trial, cancel it, and start another", try_twice, needs="trial_plan"),
    Attempt("subscribe_and_use", "subscribe to a paid plan, pay nothing, and use it", subscribe_and_use),
    Attempt("forge_webhook", "forge a webhook about our payment", forge_webhook),
    Attempt("replay_webhook", "replay another account's webhook, unchanged and for our payment", replay_webhook),
    Attempt("complete_without_paying", "return from the payment page without paying", complete_without_paying),
    Attempt("cancel_and_keep", "cancel an unpaid subscription and keep its rights", cancel_and_keep),
    Attempt("change_for_nothing", "change from a free plan to a paid one", change_for_nothing, needs="free_plan"),
    Attempt("race_subscribes", f"subscribe {AT_ONCE} times at the same moment", race_subscribes),
)


def _success_webhook(subscription: dict[str, Any]) -> bytes:
    """The webhook that the provider would send for a paid subscription."""
    invoice = subscription.get("invoice") or {}
    payment = {
        "payment_id": subscription.get("hyperswitch_payment_id") or "pay_unknown",
        "status": "succeeded",
        "amount": invoice.get("total_minor", 0),
        "amount_received": invoice.get("total_minor", 0),
        "currency": invoice.get("currency", "EUR"),
        "updated": "2099-01-01T00:00:00.000Z",
    }
    envelope = {
        "event_id": f"evt_probe_{subscription.get('id', '')}",
        "event_type": "payment_succeeded",
        "content": {"type": "payment_details", "object": payment},
    }
    return json.dumps(envelope).encode()
