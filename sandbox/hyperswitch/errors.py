"""Hyperswitch's two error formats."""

from __future__ import annotations

from typing import Any

from sandbox.exchange import Answer, as_json


class HyperswitchError(Exception):
    """An ordinary refusal: `type`, `message`, `code` and extra fields."""

    def __init__(self, status: int, code: str, message: str, **extra: Any) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.extra = status, code, message, extra

    def answer(self) -> Answer:
        kind = "api" if self.status >= 500 and self.status != 501 else "invalid_request"
        error = {"type": kind, "message": self.message, "code": self.code, **self.extra}
        return as_json({"error": error}, self.status)


class UnreadableBody(HyperswitchError):
    """A body that does not fit the endpoint; this format has `error_type` and no `type`."""

    def __init__(self, message: str) -> None:
        super().__init__(400, "IR_06", f"Json deserialize error: {message}")

    def answer(self) -> Answer:
        error = {"error_type": "invalid_request", "message": self.message, "code": self.code}
        return as_json({"error": error}, self.status)


def missing(field: str) -> HyperswitchError:
    return HyperswitchError(400, "IR_04", f"Missing required param: {field}")


def invalid_format(field: str, expectation: str) -> HyperswitchError:
    return HyperswitchError(422, "IR_05", f"{field} contains invalid data. Expected format is {expectation}")


def invalid_value(field: str) -> HyperswitchError:
    return HyperswitchError(400, "IR_07", f"Invalid value provided: {field}")


def wrong_state(flow: str, status: str, expectation: str) -> HyperswitchError:
    message = f"This Payment could not be {flow} because it has a status of {status}."
    return HyperswitchError(400, "IR_14", f"{message} The expected state is {expectation}")


def no_payment() -> HyperswitchError:
    return HyperswitchError(404, "HE_02", "Payment does not exist in our records")


def no_refund() -> HyperswitchError:
    return HyperswitchError(404, "HE_02", "Refund does not exist in our records.")


def no_dispute(dispute_id: str) -> HyperswitchError:
    return HyperswitchError(404, "HE_04", f"Dispute does not exist in our records: {dispute_id}")


def refund_exceeds_payment() -> HyperswitchError:
    return HyperswitchError(400, "IR_13", "The refund amount exceeds the amount captured")
