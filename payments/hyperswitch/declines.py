"""What Hyperswitch reports about a declined payment and its card, as words that the floors above can look up.

Besides the connector's own `error_code` there is what the issuer, the network and Hyperswitch's own comparison of
connectors say (`error_details` of a `PaymentsResponse`).
"""

from calendar import monthrange
from collections.abc import Mapping
from datetime import date
from typing import Any

# The longest that `decline_details` may be; a word that does not fit is left out.
DETAILS_LENGTH = 200


def decline_details(payload: Mapping[str, Any]) -> str:
    """The codes of a decline, each with who reports it: `reason:card_lost_or_stolen advice:do_not_retry issuer:41`."""
    details = _inner(payload, "error_details")
    unified, issuer = _inner(details, "unified_details"), _inner(details, "issuer_details")
    words = {
        "reason": unified.get("standardised_code"),
        "advice": unified.get("recommended_action"),
        "issuer": issuer.get("code") or payload.get("issuer_error_code"),
        "network": _inner(issuer, "network_details").get("advice_code"),
    }
    text = " ".join(f"{source}:{word}" for source, word in words.items() if _is_word(word))
    return text[:DETAILS_LENGTH]


def card_expires_on(payload: Mapping[str, Any]) -> date | None:
    """The last day on which the payment's card is valid; None if it is no card, or Hyperswitch does not say."""
    card = _inner(_inner(payload, "payment_method_data"), "card")
    month, year = _number(card.get("card_exp_month")), _number(card.get("card_exp_year"))
    year += 2000 if year < 100 else 0
    if not (1 <= month <= 12 and 2000 < year < 2100):
        return None
    return date(year, month, monthrange(year, month)[1])


def _inner(payload: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = payload.get(name)
    return value if isinstance(value, Mapping) else {}


def _is_word(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 45 and value.isascii() and value.replace("_", "").isalnum()


def _number(value: object) -> int:
    """The number that a text of up to four digits writes; 0 for anything else."""
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 4 else 0
