"""The nine steps in their order, from the gate to the report."""

from dataclasses import dataclass

from acceptance import money, preflight, provider, purchase, report
from acceptance.walk import FAIL, NOT_RUN, PASS, SKIPPED, Outcome, Step, Walk

STEPS = (
    Step(1, "Log in", purchase.log_in),
    Step(2, "Choose a product", purchase.choose_product),
    Step(3, "Place the order", purchase.place_order),
    Step(4, "Pay on the payment page", purchase.pay),
    Step(5, "Wait until the order is completed", purchase.wait_until_completed),
    Step(6, "See the licence", purchase.see_license),
    Step(7, "See the seller's transfer", money.see_transfer),
    Step(8, "Ask for the refund", money.ask_refund),
    Step(9, "See the refund, and the licence gone", money.see_all_taken_back),
)
MARKS = {PASS: "✓", FAIL: "✗", SKIPPED: "-"}


@dataclass(frozen=True)
class Verdict:
    """How a run ended: passed, passed without refund, failed at step N, or interrupted at step N."""

    text: str
    passed: bool


def run(walk: Walk) -> Verdict:
    """Take every step that an earlier part of this session has not taken, and add the session to the report.

    Ends at the first step that does not hold. An interruption is written down, too, and raised again.
    """
    try:
        for step in STEPS:
            earlier = walk.outcomes.get(step.number)
            if step.number > 1 and earlier is not None and earlier.status in (PASS, SKIPPED):
                continue  # Logging in is done anew each time: no token is kept anywhere.
            walk.person.tell(f"  . {step.number} {step.title} ...")
            outcome = walk.take(step)
            walk.person.tell(f"  {MARKS[outcome.status]} {step.number} {step.title}: {outcome.observed}")
            if outcome.status == FAIL:
                return _end(walk, Verdict(f"FAILED at step {step.number}", passed=False))
    except KeyboardInterrupt:
        _end(walk, Verdict(f"INTERRUPTED at step {step.number}", passed=False))
        raise
    skipped = walk.outcomes[8].status == SKIPPED
    return _end(walk, Verdict("PASSED without the refund" if skipped else "PASSED", passed=True))


def gate_is_open(walk: Walk) -> bool:
    """Look through the gate, say what was seen, and write it down."""
    gate = preflight.look(walk.buyer, walk.wishes)
    walk.log.write("preflight", passed=gate.passed, failed=gate.failed, warned=gate.warned)
    for mark, lines in (("✓", gate.passed), ("!", gate.warned), ("✗", gate.failed)):
        for line in lines:
            walk.person.tell(f"  {mark} {line}")
    return gate.open


def _end(walk: Walk, verdict: Verdict) -> Verdict:
    said = walk.facts.get("provider", provider.UNPROVEN)
    walk.log.write("session_ends", verdict=verdict.text, provider=said)
    outcomes = {step: walk.outcomes.get(step.number, Outcome(NOT_RUN, "")) for step in STEPS}
    report.add(walk, verdict.text, outcomes, provider_says=said)
    return verdict
