"""Stripe's reasons for disabling an account, and its statuses of a capability: in words, and whether money gets in.

`transfers` being active is not enough: Stripe may list or reject an account before it takes the capability away, and
money sent meanwhile is hard to get back. The lists are Stripe's own; a value that is in none of them bars transfers
until support has looked at it.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Restriction:
    """What a `disabled_reason` means. `bars_transfers`: nothing is sent, whatever the capability says."""

    words: str
    bars_transfers: bool


# What Stripe's reasons for a final refusal begin with: nothing is sold for such a seller.
REJECTED = "rejected."


def _open(words: str) -> Restriction:
    return Restriction(words, bars_transfers=False)


def _barred(words: str) -> Restriction:
    return Restriction(words, bars_transfers=True)


# Something is due or being checked: whether money gets in meanwhile is what the capability says.
RESTRICTIONS: Mapping[str, Restriction] = {
    "requirements.past_due": _open("Stripe still needs information that was due"),
    "requirements.pending_verification": _open("Stripe is verifying the seller's information"),
    "action_required.requested_capabilities": _open("Stripe needs something for a capability that we requested"),
    "listed": _barred("the seller may be on a sanctions list; Stripe is checking"),
    "platform_paused": _barred("we paused the account in Stripe's dashboard"),
    "rejected.fraud": _barred("rejected by Stripe: suspected fraud"),
    "rejected.incomplete_verification": _barred("rejected by Stripe: the verification was not completed"),
    "rejected.listed": _barred("rejected by Stripe: the seller is on a sanctions list"),
    "rejected.other": _barred("rejected by Stripe"),
    "rejected.platform_fraud": _barred("rejected by us: suspected fraud"),
    "rejected.platform_other": _barred("rejected by us"),
    "rejected.platform_terms_of_service": _barred("rejected by us: our terms of service"),
    "rejected.terms_of_service": _barred("rejected by Stripe: its terms of service"),
    "rejected.unsupported_business": _barred("rejected by Stripe: it does not support the seller's business"),
    "under_review": _barred("Stripe is reviewing the account"),
    "other": _barred("disabled by Stripe, which gives no reason"),
}
# Only one of them lets money in. "" is a capability that was never requested, or an account without it.
CAPABILITY_STATUSES: Mapping[str, str] = {
    "": "not active",
    "active": "active",
    "inactive": "inactive",
    "pending": "pending",
    "disabled": "disabled",
    "unrequested": "not requested",
}


def may_receive(transfers_status: str, disabled_reason: str) -> bool:
    """Whether transfers are possible by both: the capability's status, and the reason the account is disabled for."""
    return transfers_status == "active" and not bars_transfers(disabled_reason)


def bars_transfers(disabled_reason: str) -> bool:
    """Whether nothing is sent to an account that Stripe disabled for this reason; "" is none."""
    if not disabled_reason:
        return False
    restriction = RESTRICTIONS.get(disabled_reason)
    return restriction is None or restriction.bars_transfers


def unknown_values(transfers_status: str, disabled_reason: str) -> list[str]:
    """What of the two Veza does not know, described."""
    unknown = []
    if transfers_status not in CAPABILITY_STATUSES:
        unknown.append(f"the status {transfers_status!a} of transfers")
    if disabled_reason and disabled_reason not in RESTRICTIONS:
        unknown.append(f"the reason {disabled_reason!a} for disabling an account")
    return unknown


def describe(transfers_status: str, disabled_reason: str) -> str:
    """Both in words, for the account's page."""
    transfers = CAPABILITY_STATUSES.get(transfers_status, f"unknown ({transfers_status})")
    if not disabled_reason:
        return f"transfers {transfers}"
    restriction = RESTRICTIONS.get(disabled_reason)
    words = restriction.words if restriction else f"disabled by Stripe ({disabled_reason})"
    barred = "; nothing is sent" if bars_transfers(disabled_reason) else ""
    return f"transfers {transfers}, but {words}{barred}" if transfers_status == "active" else f"{words}{barred}"
