"""The calls that most of these tests start with."""

from __future__ import annotations

from typing import Any

from tests.sandbox.process import Sandbox


def create_payment(sandbox: Sandbox, payment_id: str = "pay_1", **fields: Any) -> dict[str, Any]:
    params = {
        "payment_id": payment_id,
        "amount": 50_00,
        "currency": "EUR",
        "payment_link": True,
        "return_url": "https://shop.example/back",
        **fields,
    }
    response = sandbox.hyperswitch("POST", "/payments", json=params)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def paid_payment(sandbox: Sandbox, payment_id: str = "pay_1", **fields: Any) -> dict[str, Any]:
    create_payment(sandbox, payment_id, **fields)
    sandbox.pay(payment_id)
    answer: dict[str, Any] = sandbox.hyperswitch("GET", f"/payments/{payment_id}").json()
    return answer


def ask_refund(sandbox: Sandbox, refund_id: str = "ref_1", amount: int | None = 10_00, **fields: Any) -> Any:
    params = {"payment_id": "pay_1", "refund_id": refund_id, **fields}
    if amount is not None:
        params["amount"] = amount
    return sandbox.hyperswitch("POST", "/refunds", json=params)


def ask_transfer(sandbox: Sandbox, account: str, *, key: str | None = None, **fields: Any) -> Any:
    data = {"amount": 40_00, "currency": "eur", "destination": account, **fields}
    return sandbox.stripe("POST", "/v1/transfers", key=key, data=data)


def ask_reversal(sandbox: Sandbox, transfer_id: str, *, key: str | None = None, **fields: Any) -> Any:
    return sandbox.stripe("POST", f"/v1/transfers/{transfer_id}/reversals", key=key, data=fields)


def error_of(response: Any) -> tuple[int, str | None]:
    return response.status_code, response.json()["error"].get("code")
