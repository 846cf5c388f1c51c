"""Stripe's errors, each marked with whether the call was executed."""

from __future__ import annotations

from sandbox.exchange import Answer, Json, as_json


class StripeError(Exception):
    """A refusal after execution is stored under the idempotency key; a parameter error is not."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        was_executed: bool = True,
    ) -> None:
        super().__init__(message)
        self.message, self.status, self.kind, self.code, self.param = message, status, kind, code, param
        self.was_executed = was_executed

    def answer(self) -> Answer:
        error: Json = {"message": self.message, "type": self.kind}
        if self.code:
            error["code"] = self.code
            error["doc_url"] = f"https://stripe.com/docs/error-codes/{self.code.replace('_', '-')}"
        if self.param:
            error["param"] = self.param
        return as_json({"error": error}, self.status)


def bad_parameter(message: str, param: str, code: str | None = None) -> StripeError:
    """An error before execution: the same key may be used again."""
    return StripeError(message, code=code, param=param, was_executed=False)


def no_such(what: str, object_id: str, *, param: str = "id", status: int = 404) -> StripeError:
    return StripeError(f"No such {what}: '{object_id}'", status=status, code="resource_missing", param=param)


def insufficient_platform_funds() -> StripeError:
    return StripeError(
        "You have insufficient available funds in your Stripe account. Try adding funds directly to your"
        " available balance by creating Charges using the 4000000000000077 test card."
        " See: https://stripe.com/docs/testing#available-balance",
        code="balance_insufficient",
    )


def insufficient_connected_funds() -> StripeError:
    return StripeError(
        "The connected account does not have a sufficient available balance for this reversal.",
        code="balance_insufficient",
    )


def insufficient_payout_funds() -> StripeError:
    return StripeError(
        "You have insufficient funds in your Stripe account for this transfer. Your card balance is too low.",
        code="balance_insufficient",
    )


def no_access(account_id: str) -> StripeError:
    return StripeError(
        f"The provided key does not have access to account '{account_id}' (or that account does not exist)."
        " Application access may have been revoked.",
        status=403,
        code="account_invalid",
    )
