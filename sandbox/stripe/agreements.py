"""Service agreements, and between which regions Stripe moves money (docs.stripe.com/connect/service-agreement-types).

Written from Stripe's pages and not from the house's table, so that a fault of the one shows at the other.
"""

from __future__ import annotations

from collections.abc import Collection

from sandbox.stripe.errors import StripeError, bad_parameter

PLATFORM_REGION = "EEA"
_REGION_OF = {"GB": "UK", "US": "US", "CA": "CA", "CH": "CH"} | dict.fromkeys(
    (
        *("AT", "BE", "BG", "HR", "CY", "CZ", "DK", "EE", "FI", "FR", "DE", "GR", "HU", "IS", "IE", "IT", "LV", "LI"),
        *("LT", "LU", "MT", "NL", "NO", "PL", "PT", "RO", "SK", "SI", "ES", "SE"),
    ),
    "EEA",
)


def check_agreement(agreement: str, capabilities: Collection[str]) -> None:
    """Raise StripeError for an agreement that does not allow what is requested."""
    if agreement not in ("full", "recipient"):
        raise bad_parameter("Invalid service_agreement: must be one of full or recipient", "tos_acceptance")
    if agreement == "recipient" and "card_payments" in capabilities:
        raise StripeError("The recipient service agreement does not support the `card_payments` capability.")
    if agreement == "full" and "transfers" in capabilities and "card_payments" not in capabilities:
        raise StripeError(
            "Your platform needs approval for accounts to have requested the `transfers` capability without the"
            " `card_payments` capability."
        )


def check_destination(country: str, agreement: str) -> None:
    """Raise StripeError unless money of our platform may go to an account in this country."""
    region = _REGION_OF.get(country)
    if region is None or (region != PLATFORM_REGION and agreement != "recipient"):
        raise StripeError(
            f"Funds can't be sent to accounts located in {country} because it's restricted outside of your platform's"
            " region."
        )
