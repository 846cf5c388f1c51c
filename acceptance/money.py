"""Steps 7 to 9: the seller's transfer, the refund, and the reversal of the transfer.

A buyer cannot see a transfer. A member of staff reads it over HTTP; otherwise the operator runs the printed SQL in
the database and enters the result.
"""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from acceptance.caller import Answer
from acceptance.operator import is_yes
from acceptance.purchase import licenses, wants_refund
from acceptance.walk import PASS, SKIPPED, Outcome, StepFailure, Walk, require_status
from veza.core.money import format_amount

TRANSFERS_QUERY = (
    "SELECT id, status, amount_minor, currency, stripe_transfer_id, stripe_reversal_id, reversed_minor, waiting_for,"
    " last_error\nFROM seller_transfers WHERE order_id = '{order_id}' ORDER BY id;"
)
DELIVERIES_QUERY = (
    "SELECT received_at, event_type, processing_result\n"
    "FROM webhook_log WHERE correlation_id = '{order_id}' ORDER BY received_at;"
)
# Closer than this, a transfer is about to be sent.
DELAY_AT_LEAST = timedelta(minutes=5)
FAILED_STATUSES = ("permanently_failed", "cancelled")


def check_transfer(walk: Walk) -> Outcome:
    """Check that each seller of the order has a completed transfer at Stripe."""
    if not walk.options.staff:
        return _ask_operator_to_inspect(
            walk, "one row for each seller: completed, with a stripe_transfer_id", TRANSFERS_QUERY
        )

    transfers = walk.poll(_evidence_call(walk), _find_transfers, waiting_for="one transfer for each seller at Stripe")
    sums = ", ".join(_describe_transfer(row) for row in transfers)
    ids = ", ".join(row["stripe_transfer_id"] or row["id"] for row in transfers)
    return Outcome(PASS, f"{sums}; {walk.polling}", ids)


def _find_transfers(answer: Answer) -> list[dict[str, Any]] | None:
    """The transfers, once every seller of the order has theirs: completed, or planned for a later time."""
    transfers: list[dict[str, Any]] = answer.body["transfers"]
    if failures := [row for row in transfers if row["status"] in FAILED_STATUSES]:
        raise StepFailure(f"transfer {failures[0]['status']}: {failures[0]['last_error']}", failures[0]["id"])
    settled = [row for row in transfers if row["status"] == "completed" and row["stripe_transfer_id"]]
    settled += [row for row in transfers if _is_delayed(row)]
    is_each_seller_paid = set(answer.body["seller_ids"]) == {row["seller_id"] for row in settled}
    return transfers if settled and len(settled) == len(transfers) and is_each_seller_paid else None


def _is_delayed(row: dict[str, Any]) -> bool:
    """Whether a transfer was planned for later, rather than put off by a failure."""
    if row["status"] != "pending" or row["retry_count"] or row["waiting_for"] or not row["next_retry_at"]:
        return False
    return datetime.fromisoformat(row["next_retry_at"]) > datetime.now(UTC) + DELAY_AT_LEAST


def _describe_transfer(row: dict[str, Any]) -> str:
    amount = format_amount(row["amount_minor"], row["currency"])
    return f"{amount} delayed until {row['next_retry_at']}" if _is_delayed(row) else f"{amount} completed"


def request_refund(walk: Walk) -> Outcome:
    """Request a refund, only after a clear yes. The key is logged before the call, as for the order."""
    if not walk.remember("refund_wanted", wants_refund(walk)):
        return Outcome(SKIPPED, "not requested")
    key = walk.remember("refund_key", str(uuid4()))
    path = f"/marketplace/orders/{walk.facts['order_id']}/refund"
    answer = require_status(walk.buyer.post(path, {"reason": "Acceptance run."}, key=key), 202)
    refund = answer.body["refund"]
    if refund["amount_minor"] != walk.facts["total"]["minor"]:
        raise StepFailure(
            f"{walk.facts['total']['minor']} was paid, {refund['amount_minor']} is refunded", refund["id"]
        )
    return Outcome(
        PASS, f"{format_amount(refund['amount_minor'], refund['currency'])} {refund['status']}", refund["id"]
    )


def check_refund(walk: Walk) -> Outcome:
    """Check that the order is refunded, the licence revoked and the seller's transfer reversed."""
    if not walk.facts["refund_wanted"]:
        return Outcome(SKIPPED, "there was no refund")
    order_id = walk.facts["order_id"]

    def check_refunded(answer: Answer) -> bool | None:
        status = answer.body["status"]
        if status not in ("refund_pending", "refunded"):
            raise StepFailure(f"the order is {status}, its refund {answer.body['refund']}", answer.request_id)
        return True if status == "refunded" and answer.body["refund"] == "full" else None

    walk.poll(lambda: walk.buyer.get(f"/marketplace/orders/{order_id}"), check_refunded, waiting_for="refunded order")
    observation = f"refunded after {walk.polling.seconds:.1f} s; {walk.polling}"
    if licenses_left := licenses(walk):
        raise StepFailure(
            f"the order is refunded but its licence is still {licenses_left[0]['status']}", licenses_left[0]["id"]
        )
    if not walk.options.staff:
        inspection = _ask_operator_to_inspect(
            walk, "the same row: reversed, with a stripe_reversal_id", TRANSFERS_QUERY, DELIVERIES_QUERY
        )
        return Outcome(PASS, f"{observation}; licence revoked; {inspection.observation}", inspection.trace)
    reversals = walk.poll(_evidence_call(walk), _find_reversals, waiting_for="reversal at Stripe")
    return Outcome(
        PASS, f"{observation}; licence revoked; transfer reversed; the ledger balances", ", ".join(reversals)
    )


def _find_reversals(answer: Answer) -> list[str] | None:
    transfers = answer.body["transfers"]
    if failures := [row for row in transfers if row["status"] == "permanently_failed"]:
        raise StepFailure(f"the reversal failed and needs review: {failures[0]['last_error']}", failures[0]["id"])
    if not all(row["status"] == "reversed" and row["stripe_reversal_id"] for row in transfers):
        return None
    if not answer.body["balanced"]:
        raise StepFailure("all transfers are reversed but the ledger does not balance", answer.request_id)
    return [str(row["stripe_reversal_id"]) for row in transfers]


def _evidence_call(walk: Walk) -> Any:
    return lambda: walk.staff.get(f"/staff/orders/{walk.facts['order_id']}/evidence")


def _ask_operator_to_inspect(walk: Walk, expectation: str, *statements: str) -> Outcome:
    """Ask the operator to query the database, and record the result."""
    order_id = walk.facts["order_id"]
    for statement in statements:
        walk.operator.tell(f"\n{statement.format(order_id=order_id)}\n")
    walk.operator.tell(f"    Run this in the database. Expected: {expectation}.")
    reply = walk.operator.ask("    What do you see (paste the ids)?")
    if not is_yes(walk.operator.ask("    Is this the expected result? y/N:")):
        raise StepFailure(f"the operator saw: {reply or 'nothing'}", order_id)
    return Outcome(PASS, f"the operator saw: {reply or 'the expected result'}", reply or order_id)
