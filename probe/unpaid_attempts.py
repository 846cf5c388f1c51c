"""The ways somebody may try to hold paid rights without paying. Each says what got through; nothing, if all is well."""

import hashlib
import hmac
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from probe.attacker import Attacker, Undecided

Plan = dict[str, Any]
AT_ONCE = 6


@dataclass(frozen=True)
class Plans:
    """What there is to take: a plan that costs and allows something; one to try, one for nothing, if offered."""

    paid: Plan
    tried: Plan | None
    free: Plan | None


@dataclass(frozen=True)
class Attempt:
    """`needs` names a plan without which it cannot be tried."""

    name: str
    sentence: str
    run: Callable[[Attacker, Plans], list[str]]
    needs: str = "paid"


def choose(plans: Sequence[Plan]) -> Plans:
    """The plans to attack. Raises Undecided when no plan costs and allows anything: there is nothing to steal."""
    costly = [plan for plan in plans if plan["price_minor"] and _allows(plan)]
    if not costly:
        raise Undecided("No plan costs and allows anything: there is nothing to steal here.")
    # Without a trial if there is one, so that subscribing waits for money whatever the account did before.
    paid = min(costly, key=lambda plan: bool(plan["trial_days"]))
    tried = next((plan for plan in costly if plan["trial_days"]), None)
    free = next((plan for plan in plans if not plan["price_minor"] and not _allows(plan)), None)
    return Plans(paid, tried, free)


def _allows(plan: Plan) -> bool:
    return bool(plan["can_sell_on_marketplace"] or plan["can_distribute"])


def try_twice(attacker: Attacker, plans: Plans) -> list[str]:
    assert plans.tried is not None, "only tried where a plan has a trial"
    attacker.subscribe(plans.tried)
    attacker.cancel(now=True)
    kept = [f"after cancelling a trial: {door}" for door in attacker.open_doors()]
    attacker.subscribe(plans.tried)
    return kept + [f"on a second trial: {door}" for door in attacker.open_doors()]


def subscribe_and_use(attacker: Attacker, plans: Plans) -> list[str]:
    attacker.subscribe(plans.paid)
    return attacker.open_doors()


def forge_webhook(attacker: Attacker, plans: Plans) -> list[str]:
    body = _success(attacker.subscribe(plans.paid))
    signatures = {
        "no signature": None,
        "an empty one": "",
        "zeros": "00" * 64,
        "one under an empty secret": hmac.new(b"", body, hashlib.sha512).hexdigest(),
        "a plain hash": hashlib.sha512(body).hexdigest(),
    }
    taken = [
        f"a webhook with {name} was taken in"
        for name, signature in signatures.items()
        if attacker.deliver(body, signature) < 300
    ]
    return taken + attacker.open_doors()


def replay_webhook(attacker: Attacker, plans: Plans) -> list[str]:
    """Another's delivery, as it was and made to say our payment."""
    body = _success(attacker.subscribe(plans.paid))
    captured = attacker.captured
    signature = captured.signature if captured else hashlib.sha512(b"of another's delivery").hexdigest()
    if captured is not None:
        attacker.deliver(captured.body.encode(), signature)  # Known already: taken in, and nothing happens.
    taken = attacker.deliver(body, signature) < 300
    return (["a webhook with the signature of another was taken in"] if taken else []) + attacker.open_doors()


def complete_without_paying(attacker: Attacker, plans: Plans) -> list[str]:
    asked = attacker.subscribe(plans.paid)
    for _ in range(2):
        offered = attacker.complete(str(asked.get("id")))
        attacker.come_back(str(offered.get("hyperswitch_payment_id")))
    return attacker.open_doors()


def cancel_and_keep(attacker: Attacker, plans: Plans) -> list[str]:
    asked = attacker.subscribe(plans.paid)
    attacker.cancel(now=False)
    kept = attacker.open_doors()
    attacker.change(plans.paid)
    attacker.complete(str(asked.get("id")))
    return kept + attacker.open_doors()


def change_for_nothing(attacker: Attacker, plans: Plans) -> list[str]:
    assert plans.free is not None, "only tried where a plan is free"
    attacker.subscribe(plans.free)
    attacker.change(plans.paid)
    # On a free plan one is active, and allowed nothing.
    return [door for door in attacker.open_doors() if not door.startswith("GET /me")]


def race_subscribes(attacker: Attacker, plans: Plans) -> list[str]:
    agreed = attacker.subscribe_at_once(plans.paid, times=AT_ONCE)
    opened = [f"subscribing {AT_ONCE} times at once: active" for said in agreed if said.get("status") == "active"]
    return opened + attacker.open_doors()


ATTEMPTS = (
    Attempt("try_twice", "begin a trial, cancel it, and begin another", try_twice, needs="tried"),
    Attempt("subscribe_and_use", "subscribe to a paid plan, pay nothing, and use it", subscribe_and_use),
    Attempt("forge_webhook", "tell Veza ourselves that we have paid", forge_webhook),
    Attempt("replay_webhook", "send another's webhook again, as it was and in our name", replay_webhook),
    Attempt("complete_without_paying", "come back from the payment page without having paid", complete_without_paying),
    Attempt("cancel_and_keep", "cancel what was never paid, and keep it", cancel_and_keep),
    Attempt("change_for_nothing", "change from a free plan to a paid one", change_for_nothing, needs="free"),
    Attempt("race_subscribes", f"subscribe {AT_ONCE} times at the same moment", race_subscribes),
)


def _success(asked: dict[str, Any]) -> bytes:
    """What the provider would send if this subscription had been paid."""
    invoice = asked.get("invoice") or {}
    said = {
        "payment_id": asked.get("hyperswitch_payment_id") or "pay_unknown",
        "status": "succeeded",
        "amount": invoice.get("total_minor", 0),
        "amount_received": invoice.get("total_minor", 0),
        "currency": invoice.get("currency", "EUR"),
        "updated": "2099-01-01T00:00:00.000Z",
    }
    envelope = {
        "event_id": f"evt_probe_{asked.get('id', '')}",
        "event_type": "payment_succeeded",
        "content": {"type": "payment_details", "object": said},
    }
    return json.dumps(envelope).encode()
