"""The settings: from the command line, and at run time through `PATCH /_control/settings`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

MERCHANT_ID = "merchant_sandbox"
PROFILE_ID = "pro_sandbox"
CONNECTOR_ID = "mca_sandbox"

REFUND_OUTCOMES = ("succeed", "fail", "stay_pending", "review", "succeed_at_once")
PAYMENT_OUTCOMES = ("succeeded", "processing", "partially_captured", "failed")
# Of a charge without the payer. `requires_payment_method`: it was inserted, and its confirmation was refused.
OFF_SESSION_OUTCOMES = (*PAYMENT_OUTCOMES, "requires_customer_action", "requires_payment_method")


class InvalidSetting(ValueError):
    """An unknown setting, or an invalid value."""


@dataclass(frozen=True)
class Settings:
    public_url: str = ""  # the address for browsers; empty: the caller's
    hyperswitch_webhook_url: str = ""
    hyperswitch_webhook_secret: str = "hyperswitch_sandbox_secret"  # noqa: S105 - for the sandbox only
    stripe_webhook_url: str = ""
    stripe_webhook_secret: str = "whsec_sandbox"  # noqa: S105 - for the sandbox only
    hyperswitch_api_key: str = "snd_sandbox"
    stripe_api_key: str = "sk_test_sandbox"
    activate_accounts: bool = False
    platform_balance_minor: int = 100_000_000
    refund_delay_seconds: float = 0.5
    payout_delay_seconds: float = 0.5
    refund_outcome: str = "succeed"
    payment_outcome: str = "succeeded"
    webhooks_paused: bool = False
    retry_schedule: tuple[float, ...] = (1.0, 5.0, 30.0)

    def with_changes(self, changes: Mapping[str, Any]) -> Settings:
        """These settings with some of them replaced. Raises InvalidSetting."""
        values: dict[str, Any] = {name: _check(name, value) for name, value in changes.items()}
        return replace(self, **values)

    def as_json(self) -> dict[str, Any]:
        """Everything but the API keys."""
        names = (entry.name for entry in fields(self) if not entry.name.endswith("_api_key"))
        return {name: getattr(self, name) for name in names}


def parse_schedule(value: object) -> tuple[float, ...]:
    """`"1,5,30"` or `[1, 5, 30]`; empty: no retries."""
    parts = [part for part in value.split(",") if part.strip()] if isinstance(value, str) else value
    if not isinstance(parts, list | tuple):
        raise InvalidSetting("retry_schedule is a list of seconds")
    return tuple(_seconds(part) for part in parts)


def _check(name: str, value: object) -> object:
    if name not in _CHECKS:
        raise InvalidSetting(f"there is no setting {name!r} to change; there are {', '.join(_CHECKS)}")
    return _CHECKS[name](value)


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise InvalidSetting("seconds are a number")
    try:
        seconds = float(value)
    except ValueError:
        raise InvalidSetting(f"{value!r} is not a number of seconds") from None
    if not 0 <= seconds <= 86_400:
        raise InvalidSetting("seconds are between 0 and a day")
    return seconds


def _text(value: object) -> str:
    if value is not None and not isinstance(value, str):
        raise InvalidSetting("this is a string")
    return value or ""


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidSetting("this is true or false")
    return value


def _one_of(*choices: str) -> Callable[[object], str]:
    def check(value: object) -> str:
        if value not in choices:
            raise InvalidSetting(f"this is one of {', '.join(choices)}")
        return str(value)

    return check


_CHECKS: Mapping[str, Callable[[object], object]] = {
    "hyperswitch_webhook_url": _text,
    "hyperswitch_webhook_secret": _text,
    "stripe_webhook_url": _text,
    "stripe_webhook_secret": _text,
    "activate_accounts": _flag,
    "refund_delay_seconds": _seconds,
    "payout_delay_seconds": _seconds,
    "refund_outcome": _one_of(*REFUND_OUTCOMES),
    "payment_outcome": _one_of(*PAYMENT_OUTCOMES),
    "webhooks_paused": _flag,
    "retry_schedule": parse_schedule,
}
