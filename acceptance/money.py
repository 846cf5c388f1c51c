"""Steps 7 to 9: the seller's transfer, the refund, and everything taken back.

A buyer cannot see a transfer. A member of staff reads it over HTTP; without one, a person looks into the database
with the SQL that is printed, and says what stands there.
"""

from typing import Any
from uuid import uuid4

from acceptance.caller import Answer
from acceptance.person import said_yes
from acceptance.purchase import licenses, wants_refund
from acceptance.walk import PASS, SKIPPED, Outcome, StepFailed, Walk, expected
from veza.core.money import format_amount

LOOK_AT_TRANSFERS = (
    "SELECT id, status, amount_minor, currency, stripe_transfer_id, stripe_reversal_id, reversed_minor, waiting_for,"
    " last_error\nFROM seller_transfers WHERE order_id = '{order_id}' ORDER BY id;"
)
LOOK_AT_DELIVERIES = (
    "SELECT received_at, event_type, processing_result\n"
    "FROM webhook_log WHERE correlation_id = '{order_id}' ORDER BY received_at;"
)
LOST = ("permanently_failed", "cancelled")


def see_transfer(walk: Walk) -> Outcome:
    """Each seller of the order was paid at Stripe."""
    if not walk.wishes.staff:
        return _look(walk, "one row for each seller: completed, with a stripe_transfer_id", LOOK_AT_TRANSFERS)

    def paid(answer: Answer) -> list[dict[str, Any]] | None:
        transfers: list[dict[str, Any]] = answer.body["transfers"]
        if lost := [row for row in transfers if row["status"] in LOST]:
            raise StepFailed(f"transfer {lost[0]['status']}: {lost[0]['last_error']}", lost[0]["id"])
        done = bool(transfers) and all(row["status"] == "completed" and row["stripe_transfer_id"] for row in transfers)
        return transfers if done else None

    transfers = walk.poll(_evidence(walk), paid, waiting_for="transfer at Stripe")
    sums = ", ".join(format_amount(row["amount_minor"], row["currency"]) for row in transfers)
    return Outcome(
        PASS, f"completed: {sums}; {walk.polling}", ", ".join(row["stripe_transfer_id"] for row in transfers)
    )


def ask_refund(walk: Walk) -> Outcome:
    """Only when somebody clearly wants it. The key is written down before the call, as the order's was."""
    if not walk.remember("refund_wanted", wants_refund(walk)):
        return Outcome(SKIPPED, "nobody asked for it")
    key = walk.remember("refund_key", str(uuid4()))
    path = f"/marketplace/orders/{walk.facts['order_id']}/refund"
    answer = expected(walk.buyer.post(path, {"reason": "Acceptance run."}, key=key), 202)
    refund = answer.body["refund"]
    if refund["amount_minor"] != walk.facts["total"]["minor"]:
        raise StepFailed(f"{walk.facts['total']['minor']} was paid, {refund['amount_minor']} comes back", refund["id"])
    return Outcome(
        PASS, f"{format_amount(refund['amount_minor'], refund['currency'])} {refund['status']}", refund["id"]
    )


def see_all_taken_back(walk: Walk) -> Outcome:
    """The order is refunded, the licence is gone and, where we can look, the seller's transfer is reversed."""
    if not walk.facts["refund_wanted"]:
        return Outcome(SKIPPED, "there was no refund")
    order_id = walk.facts["order_id"]

    def refunded(answer: Answer) -> bool | None:
        status = answer.body["status"]
        if status not in ("refund_pending", "refunded"):
            raise StepFailed(f"the order is {status}, its refund {answer.body['refund']}", answer.request_id)
        return True if status == "refunded" and answer.body["refund"] == "full" else None

    walk.poll(lambda: walk.buyer.get(f"/marketplace/orders/{order_id}"), refunded, waiting_for="refunded order")
    seen = f"refunded after {walk.polling.seconds:.1f} s; {walk.polling}"
    if left := licenses(walk):
        raise StepFailed(f"the order is refunded and its licence is still {left[0]['status']}", left[0]["id"])
    if not walk.wishes.staff:
        looked = _look(walk, "the same row: reversed, with a stripe_reversal_id", LOOK_AT_TRANSFERS, LOOK_AT_DELIVERIES)
        return Outcome(PASS, f"{seen}; licence gone; {looked.observed}", looked.trace)
    reversals = walk.poll(_evidence(walk), _reversed, waiting_for="reversal at Stripe")
    return Outcome(PASS, f"{seen}; licence gone; transfer reversed; the ledger adds up", ", ".join(reversals))


def _reversed(answer: Answer) -> list[str] | None:
    transfers = answer.body["transfers"]
    if lost := [row for row in transfers if row["status"] == "permanently_failed"]:
        raise StepFailed(f"the reversal was given up: {lost[0]['last_error']}", lost[0]["id"])
    if not all(row["status"] == "reversed" and row["stripe_reversal_id"] for row in transfers):
        return None
    if not answer.body["balanced"]:
        raise StepFailed("all is taken back and the ledger does not add up", answer.request_id)
    return [str(row["stripe_reversal_id"]) for row in transfers]


def _evidence(walk: Walk) -> Any:
    return lambda: walk.staff.get(f"/staff/orders/{walk.facts['order_id']}/evidence")


def _look(walk: Walk, wanted: str, *statements: str) -> Outcome:
    """Have a person look into the database, and take down what they saw."""
    order_id = walk.facts["order_id"]
    for statement in statements:
        walk.person.tell(f"\n{statement.format(order_id=order_id)}\n")
    walk.person.tell(f"    Run this in the database. You should see {wanted}.")
    saw = walk.person.ask("    What do you see (paste the ids)?")
    if not said_yes(walk.person.ask("    Is that as it should be? y/N:")):
        raise StepFailed(f"the person saw: {saw or 'nothing'}", order_id)
    return Outcome(PASS, f"a person saw: {saw or 'what was expected'}", saw or order_id)
