"""Suspensions and holds: what staff restrict a seller in, when they have to decide again, and its end.

The rows are what every gate asks (`standing.py`). A restriction never ends by itself, and none is forgotten: at its
review date it needs review, again and again until staff end it or set a later date.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings

from marketplace.catalogue import NotASeller
from marketplace.messages.restrictions import EXTENDED, IMPOSED, LIFTED
from marketplace.models import RestrictionKind, SellerRestriction
from marketplace.ports import sellers
from veza.core import writes
from veza.core.accounts import lock_account, refuse_own
from veza.core.causes import Cause
from veza.core.email.outbox import write_email
from veza.core.errors import NotAllowed
from veza.core.models import User
from veza.core.money import format_amounts, only_amount
from veza.core.reviews import close_review, open_review

SUSPENSION_DUE, HOLD_DUE = "seller_suspension_due", "seller_hold_due"


class AlreadyRestricted(NotAllowed):
    code = "already_restricted"
    http_status = 409


class RestrictionEnded(NotAllowed):
    code = "restriction_ended"
    http_status = 409


class ReviewDateNotPossible(NotAllowed):
    code = "review_date_not_possible"


@writes.atomic()
def suspend_seller(*, seller_id: UUID, cause: Cause, at: datetime) -> SellerRestriction:
    """Stop the seller's sales and money until staff release them. The seller reads the cause's reason.

    Raises OwnAccount, NotASeller, AlreadyRestricted.
    """
    seller = _lock_seller(seller_id, cause=cause)
    return _impose(seller, RestrictionKind.SUSPENSION, review_at=suspension_review_at(at), cause=cause, at=at)


@writes.atomic()
def hold_money(*, seller_id: UUID, review_at: datetime, cause: Cause, at: datetime) -> SellerRestriction:
    """Keep the seller's money with us, while their works are sold, until staff end the hold.

    Raises OwnAccount, NotASeller, AlreadyRestricted, ReviewDateNotPossible.
    """
    refuse_review_date(review_at, at=at)
    seller = _lock_seller(seller_id, cause=cause)
    return _impose(seller, RestrictionKind.HOLD, review_at=review_at, cause=cause, at=at)


@writes.atomic()
def extend_restriction(*, restriction_id: UUID, review_at: datetime, cause: Cause, at: datetime) -> SellerRestriction:
    """Keep a restriction in force, to be reviewed at `review_at`, and tell the seller why.

    It is a new row: the first one's review date stays on record. Raises OwnAccount, RestrictionEnded,
    ReviewDateNotPossible.
    """
    refuse_review_date(review_at, at=at)
    first = _lock_in_force(restriction_id, cause=cause)
    _end(first, cause=cause, at=at)
    later = SellerRestriction.objects.create(
        seller_id=first.seller_id,
        kind=first.kind,
        reason=cause.reason,
        imposed_by=cause.actor,
        review_at=review_at,
        since_at=first.since_at,
    )
    write_email(EXTENDED, later, to=first.seller_id)
    return later


@writes.atomic()
def lift_restriction(*, restriction_id: UUID, cause: Cause, at: datetime) -> SellerRestriction:
    """Release a suspended seller, or end a hold: what waited for it is due at once.

    Money stays here while another restriction is in force. Raises OwnAccount, RestrictionEnded.
    """
    restriction = _lock_in_force(restriction_id, cause=cause)
    _end(restriction, cause=cause, at=at)
    if not SellerRestriction.objects.in_force().filter(seller=restriction.seller_id).exists():
        sellers().money_released(restriction.seller_id)
    write_email(LIFTED[restriction.kind], restriction, to=restriction.seller_id)
    return restriction


def suspension_review_at(at: datetime) -> datetime | None:
    """When a suspension of `at` needs review; None if SUSPENSION_REVIEW_AFTER is off."""
    return at + settings.SUSPENSION_REVIEW_AFTER if settings.SUSPENSION_REVIEW_AFTER else None


def refuse_review_date(review_at: datetime, *, at: datetime) -> None:
    """A date that has passed reviews nothing, and one that is years away forgets. Raises ReviewDateNotPossible."""
    if review_at <= at:
        raise ReviewDateNotPossible(f"The review date {review_at:%d %b %Y} has passed. Choose a later one.")
    latest_at = at + settings.RESTRICTION_REVIEW_WITHIN if settings.RESTRICTION_REVIEW_WITHIN else None
    if latest_at is not None and review_at > latest_at:
        raise ReviewDateNotPossible(f"Choose a review date until {latest_at:%d %b %Y}: you can extend it again then.")


def open_due_reviews() -> int:
    """Open a review item for each restriction whose review date has come. Returns how many restrictions are due."""
    due = SellerRestriction.objects.due_for_review().select_related("seller").order_by("review_at")
    count = 0
    for restriction in due.iterator(chunk_size=100):
        _open_review(restriction)
        count += 1
    return count


@writes.atomic()
def _open_review(restriction: SellerRestriction) -> None:
    amounts = sellers().unsent_minor(restriction.seller_id)
    amount_minor, currency = only_amount(amounts)
    waiting = format_amounts(amounts) or "no money"
    about: dict[str, Any] = {
        "why": f"{restriction.seller.email} has been restricted ({restriction.kind}) since "
        f"{restriction.since_at:%d %b %Y}: {restriction.reason} Waiting for them: {waiting}.",
        "amount_minor": amount_minor,
        "currency": currency,
    }
    if restriction.kind == RestrictionKind.SUSPENSION:
        todo = "Decide again: “Release seller” on its page, or “Extend suspension” with a reason that the seller reads."
        open_review(SUSPENSION_DUE, restriction, what_to_do=todo, **about)
    else:
        todo = "Decide again: “End hold” on its page, or “Extend hold” with a reason that the seller reads."
        open_review(HOLD_DUE, restriction, what_to_do=todo, **about)


def _lock_seller(seller_id: UUID, *, cause: Cause) -> User:
    refuse_own(seller_id, cause)
    seller = lock_account(seller_id)
    if seller.seller_since_at is None:
        raise NotASeller(f"{seller.email} is not a seller.")
    return seller


def _impose(
    seller: User, kind: RestrictionKind, *, review_at: datetime | None, cause: Cause, at: datetime
) -> SellerRestriction:
    """The account is locked, so that two members of staff do not restrict it at once."""
    if earlier := SellerRestriction.objects.in_force().filter(seller=seller, kind=kind).first():
        since = f"{earlier.since_at:%d %b %Y}"
        raise AlreadyRestricted(f"{seller.email} has had this {kind} since {since}: {earlier.reason}")
    restriction = SellerRestriction.objects.create(
        seller=seller, kind=kind, reason=cause.reason, imposed_by=cause.actor, review_at=review_at, since_at=at
    )
    write_email(IMPOSED[kind], restriction, to=seller.pk)
    return restriction


def _lock_in_force(restriction_id: UUID, *, cause: Cause) -> SellerRestriction:
    restriction = SellerRestriction.objects.locked().get(pk=restriction_id)
    refuse_own(restriction.seller_id, cause)
    if restriction.ended_at is not None:
        raise RestrictionEnded(f"{restriction.ended_by} ended it on {restriction.ended_at:%d %b %Y}.")
    return restriction


def _end(restriction: SellerRestriction, *, cause: Cause, at: datetime) -> None:
    fields = {"ended_at": at, "ended_by": cause.actor, "end_reason": cause.reason}
    SellerRestriction.objects.filter(pk=restriction.pk).update(**fields)
    restriction.ended_at, restriction.ended_by, restriction.end_reason = at, cause.actor, cause.reason
    for kind in (SUSPENSION_DUE, HOLD_DUE):
        close_review(kind, restriction, note=f"{cause.actor} decided about it: {cause.reason}")
