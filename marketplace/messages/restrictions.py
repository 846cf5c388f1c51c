"""A seller's suspension or hold: what it is, why, since when, until when at the latest, and how to contest it."""

from datetime import timedelta
from uuid import UUID

from django.utils import timezone
from django.utils.translation import gettext as _

from marketplace.models import RestrictionKind, SellerRestriction
from veza.core.email.content import Block, Content, Line, Notice, Outdated, Paragraph, Table
from veza.core.email.formats import day
from veza.core.email.messages import Audience, Message


def contest() -> Paragraph:
    """How to contest a decision of staff: answers go to SUPPORT_ADDRESS."""
    return Paragraph(_("If you think this is a mistake, answer this e-mail and say why. Our support reads it."))


def _imposed(restriction_id: UUID, _occasion: str, /) -> Content | Outdated:
    restriction = SellerRestriction.objects.get(pk=restriction_id)
    if restriction.ended_at is not None:
        return Outdated("It has ended, or was extended, since.")
    return (
        _compose_suspension(restriction)
        if restriction.kind == RestrictionKind.SUSPENSION
        else _compose_hold(restriction)
    )


def _compose_suspension(restriction: SellerRestriction) -> Content:
    return Content(
        subject_line=_("Your sales are suspended"),
        headline=_("Your sales are suspended"),
        blocks=[
            Notice(_("Your works are not sold for now. Transfers and payouts of your earnings wait."), "bad"),
            *_facts(restriction),
            Paragraph(_("You can still log in, read your sales and statements, refund buyers, and leave.")),
            contest(),
        ],
    )


def _compose_hold(restriction: SellerRestriction) -> Content:
    return Content(
        subject_line=_("Your money is held for now"),
        headline=_("Your money is held for now"),
        blocks=[
            Notice(_("Your works are still sold. Transfers and payouts of your earnings wait."), "bad"),
            *_facts(restriction),
            contest(),
        ],
    )


def _extended(restriction_id: UUID, _occasion: str, /) -> Content | Outdated:
    restriction = SellerRestriction.objects.get(pk=restriction_id)
    if restriction.ended_at is not None:
        return Outdated("It has ended, or was extended again, since.")
    return _compose_extended(restriction)


def _compose_extended(restriction: SellerRestriction) -> Content:
    title = {
        RestrictionKind.SUSPENSION.value: _("Your sales stay suspended"),
        RestrictionKind.HOLD.value: _("Your money is still held"),
    }[restriction.kind]
    return Content(
        subject_line=title,
        headline=title,
        blocks=[Notice(_("We have looked at it again and keep it in force."), "bad"), *_facts(restriction), contest()],
    )


def _facts(restriction: SellerRestriction) -> list[Block]:
    lines = [Line(_("Since"), day(restriction.since_at))]
    if restriction.review_at is not None:
        lines.append(Line(_("We decide again by"), day(restriction.review_at)))
    return [Paragraph(_("The reason: %(reason)s") % {"reason": restriction.reason}), Table(lines)]


def _lifted(restriction_id: UUID, _occasion: str, /) -> Content | Outdated:
    restriction = SellerRestriction.objects.get(pk=restriction_id)
    others = SellerRestriction.objects.in_force().filter(seller=restriction.seller_id)
    if others.filter(kind=restriction.kind).exists():
        return Outdated("It was imposed again since.")
    return _compose_lifted(restriction, is_money_held=others.exists())


def _compose_lifted(restriction: SellerRestriction, *, is_money_held: bool) -> Content:
    title = {
        RestrictionKind.SUSPENSION.value: _("Your sales are no longer suspended"),
        RestrictionKind.HOLD.value: _("Your money is no longer held"),
    }[restriction.kind]
    released = Notice(_("What waited for you with us is sent to your Stripe account now."), "good")
    if is_money_held:
        released = Notice(_("Your money still waits with us for another reason, about which we wrote to you."), "bad")
    return Content(
        subject_line=title,
        headline=title,
        blocks=[
            released,
            Paragraph(_("The reason: %(reason)s") % {"reason": restriction.end_reason}),
            Table(
                [
                    Line(_("Since"), day(restriction.since_at)),
                    Line(_("Ended on"), day(restriction.ended_at or timezone.now())),
                ]
            ),
        ],
    )


def _sample(kind: str) -> SellerRestriction:
    at = timezone.now()
    return SellerRestriction(
        kind=kind,
        reason="Two buyers report that your works are copies. We are checking.",
        end_reason="The works are yours. Thank you for your patience.",
        since_at=at,
        review_at=at + timedelta(days=30),
    )


SELLER_SUSPENDED = Message(
    "seller_suspended",
    Audience.SELLER,
    "Staff suspended a seller.",
    _imposed,
    lambda: _compose_suspension(_sample(RestrictionKind.SUSPENSION)),
)
MONEY_HELD = Message(
    "money_held",
    Audience.SELLER,
    "Staff held a seller's money until a review date.",
    _imposed,
    lambda: _compose_hold(_sample(RestrictionKind.HOLD)),
)
EXTENDED = Message(
    "restriction_extended",
    Audience.SELLER,
    "Staff reviewed a suspension or a hold and keep it in force.",
    _extended,
    lambda: _compose_extended(_sample(RestrictionKind.HOLD)),
)
SELLER_RELEASED = Message(
    "seller_released",
    Audience.SELLER,
    "Staff released a suspended seller.",
    _lifted,
    lambda: _compose_lifted(_sample(RestrictionKind.SUSPENSION), is_money_held=False),
)
HOLD_ENDED = Message(
    "hold_ended",
    Audience.SELLER,
    "Staff ended a hold of a seller's money.",
    _lifted,
    lambda: _compose_lifted(_sample(RestrictionKind.HOLD), is_money_held=False),
)
IMPOSED = {RestrictionKind.SUSPENSION.value: SELLER_SUSPENDED, RestrictionKind.HOLD.value: MONEY_HELD}
LIFTED = {RestrictionKind.SUSPENSION.value: SELLER_RELEASED, RestrictionKind.HOLD.value: HOLD_ENDED}
