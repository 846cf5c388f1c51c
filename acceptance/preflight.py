"""The gate before a run: may anybody press the button at all?"""

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from acceptance.caller import Answer, Caller, NoRows
from acceptance.wishes import Wishes

REMINDER = "A live run charges a real card: use your own, a product of about 5 EUR, and keep the receipt."


@dataclass
class Gate:
    """What was looked at. Open only when nothing failed."""

    passed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    warned: list[str] = field(default_factory=list)

    @property
    def open(self) -> bool:
        return not self.failed

    def hold(self, condition: bool, good: str, otherwise: str) -> bool:
        (self.passed if condition else self.failed).append(good if condition else otherwise)
        return condition


def look(caller: Caller, wishes: Wishes) -> Gate:
    """Look at everything, so that one run of the gate names all that is missing."""
    gate = Gate()
    gate.hold(_is_email(wishes.email), f"OPERATOR_EMAIL is {wishes.email}", "OPERATOR_EMAIL is not an e-mail address")
    health = caller.get("/health")
    if gate.hold(health.status == 200, "health answers 200", f"health answers {health.in_short()}"):
        _look_at_status(gate, caller.get("/status"), wishes)
        _look_at_products(gate, caller)
    address = urlsplit(caller.base_url)
    if wishes.live:
        gate.hold(address.scheme == "https", "the address is https", f"a live run needs https, not {caller.base_url}")
        gate.warned.append(REMINDER)
        if any(word in (address.hostname or "") for word in ("sandbox", "staging", "test", "localhost")):
            gate.warned.append(f"A live run against {address.hostname}: that name sounds like a place to try things.")
    return gate


def _look_at_status(gate: Gate, answer: Answer, wishes: Wishes) -> None:
    try:
        said = answer.body["data"]
        environment, services = said["environment"], {name: row["status"] for name, row in said["services"].items()}
        hyperswitch, maintenance = services["hyperswitch"], said["maintenance"]
    except (TypeError, KeyError):
        gate.failed.append(f"status answers {answer.in_short()}")
        return
    if wishes.live and environment != "live":
        gate.warned.append("A live run was asked for and this Veza is a sandbox: no real money would move.")
    gate.hold(
        environment == wishes.environment,
        f"the environment is {environment}",
        f"the environment is {environment}, not {wishes.environment}",
    )
    gate.hold(hyperswitch != "disabled", f"Hyperswitch is {hyperswitch}", "Hyperswitch is disabled")
    gate.hold(maintenance is False, "buyers are let in", "maintenance mode turns buyers away")
    gate.warned += [f"{name} is {status}." for name, status in services.items() if status != "ok"]


def _look_at_products(gate: Gate, caller: Caller) -> None:
    try:
        found = next((row for row in caller.rows("/marketplace/products") if row.get("offers")), None)
    except NoRows as answer:
        gate.failed.append(f"products answer {answer}")
        return
    gate.hold(found is not None, "there are products to buy", "there is no product to buy")


def _is_email(text: str) -> bool:
    try:
        validate_email(text)
    except ValidationError:
        return False
    return True
