"""How a person stands with us: what they have, and what they have to do to have it."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from subscriptions.access import Effective, effective_payment
from subscriptions.models import Subscription
from subscriptions.states import LIVE


@dataclass(frozen=True)
class Standing:
    """The person's live subscription, if any, and what stands behind it.

    `needs_payment` is true when money is owed: then `message` names the way out.
    """

    subscription: Subscription | None
    effective: Effective | None
    needs_payment: bool
    message: str


def standing_of(user_id: UUID, *, at: datetime) -> Standing:
    """The person's standing at `at`."""
    live = Subscription.objects.filter(user=user_id, status__in=LIVE).select_related("plan", "next_plan").first()
    if live is None:
        return Standing(None, None, needs_payment=False, message="You have no subscription.")
    effective = effective_payment(live, at=at)
    way_out = f"pay with POST /api/v1/subscriptions/complete/{live.pk}"
    if effective is None:
        return Standing(live, None, needs_payment=True, message=f"This subscription is not paid: {way_out}.")
    if live.past_due_since_at is not None:
        until = f" by {effective.until_at:%d %B %Y}" if effective.until_at else ""
        return Standing(live, effective, needs_payment=True, message=f"The renewal is not paid: {way_out}{until}.")
    return Standing(live, effective, needs_payment=False, message=_how_it_goes_on(live))


def _how_it_goes_on(subscription: Subscription) -> str:
    day = f"{subscription.period_end_at:%d %B %Y}" if subscription.period_end_at else "the end of the period"
    if subscription.cancel_at_period_end:
        return f"It ends on {day}."
    following = subscription.next_plan or subscription.plan
    return f"It goes on as {following.name} on {day}."
