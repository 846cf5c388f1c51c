"""Step 7 of the acceptance run: every seller of the order has a transfer of their own."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from acceptance.caller import Answer
from acceptance.money import _describe_transfer, _find_transfers
from acceptance.walk import StepFailure

LATER = (datetime.now(UTC) + timedelta(days=14)).isoformat()


def transfer(seller: str, **fields: Any) -> dict[str, Any]:
    usual = {"id": "01", "status": "completed", "stripe_transfer_id": "tr_1", "amount_minor": 9_00, "currency": "EUR"}
    waiting = {"waiting_for": "", "retry_count": 0, "next_retry_at": None, "last_error": ""}
    return {"seller_id": seller, **usual, **waiting, **fields}


def delayed(seller: str, **fields: Any) -> dict[str, Any]:
    return transfer(seller, status="pending", stripe_transfer_id=None, next_retry_at=LATER, **fields)


def evidence(*transfers: dict[str, Any]) -> Answer:
    return Answer(200, {"seller_ids": ["first", "second"], "transfers": list(transfers)}, 1, "", {})


@pytest.mark.parametrize(
    "transfers",
    [
        (),
        (transfer("first"),),
        (transfer("first"), transfer("first")),
        (transfer("first"), transfer("second", status="pending", stripe_transfer_id=None)),
        (transfer("first"), delayed("second", retry_count=1)),
        (transfer("first"), delayed("second", waiting_for="dispute")),
    ],
    ids=["none", "one seller", "one seller twice", "one is pending", "one failed and waits", "one waits for a bank"],
)
def test_the_step_waits_while_a_seller_has_no_transfer(transfers):
    assert _find_transfers(evidence(*transfers)) is None


def test_a_transfer_for_each_seller_passes():
    transfers = [transfer("first"), transfer("second")]

    assert _find_transfers(evidence(*transfers)) == transfers


def test_a_transfer_that_is_planned_for_later_passes_and_says_until_when():
    transfers = [transfer("first"), delayed("second")]

    assert _find_transfers(evidence(*transfers)) == transfers
    assert [_describe_transfer(row) for row in transfers] == ["9.00 EUR completed", f"9.00 EUR delayed until {LATER}"]


def test_a_transfer_that_needs_review_fails_the_step():
    with pytest.raises(StepFailure, match="permanently_failed"):
        _find_transfers(evidence(transfer("first"), transfer("second", status="permanently_failed")))
