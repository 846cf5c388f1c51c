"""The nine steps in order, from the gate to the report."""

from dataclasses import dataclass

from acceptance import money, preflight, provider, purchase, report
from acceptance.walk import FAIL, NOT_RUN, PASS, SKIPPED, Outcome, Step, Walk

STEPS = (
    Step(1, "Log in", purchase.log_in),
    Step(2, "Choose a product", purchase.choose_product),
    Step(3, "Place the order", purchase.place_order),
    Step(4, "Pay on the payment page", purchase.pay),
    Step(5, "Wait until the order is completed", purchase.wait_until_completed),
    Step(6, "Check the licence", purchase.check_license),
    Step(7, "Check the seller's transfer", money.check_transfer),
    Step(8, "Request the refund", money.request_refund),
    Step(9, "Check the refund and the revoked licence", money.check_refund),
)
MARKS = {PASS: "✓", FAIL: "✗", SKIPPED: "-"}


@dataclass(frozen=True)
class Verdict:
    """How a run ended: passed, passed without refund, failed at step N, or interrupted at step N."""

    text: str
    has_passed: bool


def run(walk: Walk) -> Verdict:
    """Take every step that the session has not completed yet, and add the session to the report.

    Stops at the first step that fails. An interruption is logged as well, and raised again.
    """
    try:
        for step in STEPS:
            earlier = walk.outcomes.get(step.number)
            if step.number > 1 and earlier is not None and earlier.status in (PASS, SKIPPED):
                continue  # Logging in is repeated each time: tokens are not stored.
            walk.operator.tell(f"  . {step.number} {step.title} ...")
            outcome = walk.take(step)
            walk.operator.tell(f"  {MARKS[outcome.status]} {step.number} {step.title}: {outcome.observation}")
            if outcome.status == FAIL:
                return _end(walk, Verdict(f"FAILED at step {step.number}", has_passed=False))
    except KeyboardInterrupt:
        _end(walk, Verdict(f"INTERRUPTED at step {step.number}", has_passed=False))
        raise
    is_skipped = walk.outcomes[8].status == SKIPPED
    return _end(walk, Verdict("PASSED without the refund" if is_skipped else "PASSED", has_passed=True))


def gate_is_open(walk: Walk) -> bool:
    """Run the gate's checks, show the results, and log them."""
    gate = preflight.look(walk.buyer, walk.options)
    walk.log.write("preflight", has_passed=gate.passed, failed=gate.failed, warned=gate.warned)
    for mark, lines in (("✓", gate.passed), ("!", gate.warned), ("✗", gate.failed)):
        for line in lines:
            walk.operator.tell(f"  {mark} {line}")
    return gate.open


def _end(walk: Walk, verdict: Verdict) -> Verdict:
    mode = walk.facts.get("provider", provider.UNPROVEN)
    walk.log.write("session_ends", verdict=verdict.text, provider=mode)
    outcomes = {step: walk.outcomes.get(step.number, Outcome(NOT_RUN, "")) for step in STEPS}
    report.add(walk, verdict.text, outcomes, provider_says=mode)
    return verdict
