"""Where Stripe lets a platform open accounts for its sellers (docs.stripe.com/connect/cross-border-payouts).

In the platform's own region an account has the full service agreement; the European Economic Area is one region. In
another of these regions it has the `recipient` agreement, which only receives. Elsewhere a transfer would be refused
however often it was tried.
"""

from collections.abc import Sequence

FULL, RECIPIENT = "full", "recipient"
_EEA = frozenset(
    "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IS IT LI LT LU LV MT NL NO PL PT RO SE SI SK".split()  # noqa: SIM905
)
REGIONS = (_EEA, frozenset({"GB"}), frozenset({"US"}), frozenset({"CA"}), frozenset({"CH"}))
COUNTRIES = frozenset().union(*REGIONS)


def service_agreement(country: str, *, platform_country: str) -> str:
    """The agreement of a seller's account in `country`; "" where Stripe pays no sellers of this platform."""
    for region in REGIONS:
        if country in region:
            return FULL if platform_country in region else RECIPIENT
    return ""


def capabilities_under(agreement: str, capabilities: Sequence[str]) -> list[str]:
    """What is requested for an account: one that only receives cannot process cards."""
    return [name for name in capabilities if agreement == FULL or name == "transfers"]
