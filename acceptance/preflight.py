"""The gate before a run: may it start?"""

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from acceptance.caller import Answer, Caller, NoRows
from acceptance.options import RunOptions

REMINDER = "A live run charges a real card: use your own, a product of about 5 EUR, and keep the receipt."


@dataclass
class Gate:
    """The results of the checks. Open only when none failed."""

    passed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    warned: list[str] = field(default_factory=list)

    @property
    def open(self) -> bool:
        return not self.failed

    def check(self, condition: bool, message: str, otherwise: str) -> bool:
        (self.passed if condition else self.failed).append(message if condition else otherwise)
        return condition


def look(caller: Caller, options: RunOptions) -> Gate:
    """Run all checks, so that one run of the gate names all problems."""
    gate = Gate()
    gate.check(
        _is_email(options.email), f"OPERATOR_EMAIL is {options.email}", "OPERATOR_EMAIL is not an e-mail address"
    )
    health = caller.get("/health")
    if gate.check(health.status == 200, "health answers 200", f"health answers {health.summary()}"):
        _check_status(gate, caller.get("/status"), options)
        _check_products(gate, caller)
    address = urlsplit(caller.base_url)
    if options.live:
        gate.check(address.scheme == "https", "the address is https", f"a live run needs https, not {caller.base_url}")
        gate.warned.append(REMINDER)
        if any(word in (address.hostname or "") for word in ("sandbox", "staging", "test", "localhost")):
            gate.warned.append(f"A live run against {address.hostname}: the name suggests a test environment.")
    return gate


def _check_status(gate: Gate, answer: Answer, options: RunOptions) -> None:
    try:
        report = answer.body["data"]
        environment, services = report["environment"], {name: row["status"] for name, row in report["services"].items()}
        hyperswitch, maintenance = services["hyperswitch"], report["maintenance"]
    except (TypeError, KeyError):
        gate.failed.append(f"status answers {answer.summary()}")
        return
    if options.live and environment != "live":
        gate.warned.append("The run is live but this Veza is a sandbox: no real money would move.")
    gate.check(
        environment == options.environment,
        f"the environment is {environment}",
        f"the environment is {environment}, not {options.environment}",
    )
    gate.check(hyperswitch != "disabled", f"Hyperswitch is {hyperswitch}", "Hyperswitch is disabled")
    gate.check(maintenance is False, "the shop is open", "maintenance mode is on: buyers cannot order")
    gate.warned += [f"{name} is {status}." for name, status in services.items() if status != "ok"]


def _check_products(gate: Gate, caller: Caller) -> None:
    try:
        product = next((row for row in caller.rows("/marketplace/products") if row.get("offers")), None)
    except NoRows as answer:
        gate.failed.append(f"products answer {answer}")
        return
    gate.check(product is not None, "there are products to buy", "there is no product to buy")


def _is_email(text: str) -> bool:
    try:
        validate_email(text)
    except ValidationError:
        return False
    return True
