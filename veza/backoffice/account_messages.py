"""The notice that an account was closed, and that it was opened again."""

from collections.abc import Sequence
from uuid import UUID

from django.utils import timezone
from django.utils.translation import gettext as _

from marketplace.messages.restrictions import contest
from subscriptions.models import Subscription
from veza.core.email.content import Block, Content, Line, Notice, Outdated, Paragraph, Table
from veza.core.email.formats import day
from veza.core.email.messages import Audience, Message
from veza.core.models import User


def _closed(user_id: UUID, occasion: str, /) -> Content | Outdated:
    user = User.objects.get(pk=user_id)
    if user.closed_at is None or user.closed_at.isoformat() != occasion:
        return Outdated("The account was opened again since.")
    ended = Subscription.objects.filter(user=user, ended_at=user.closed_at).select_related("plan")
    return _compose_closed(user, [subscription.plan.name for subscription in ended])


def _compose_closed(user: User, plans: Sequence[str]) -> Content:
    return Content(
        subject_line=_("Your account was closed"),
        headline=_("Your account was closed"),
        blocks=[
            Notice(_("You cannot log in any more, and nothing will be charged to you."), "bad"),
            Paragraph(_("The reason: %(reason)s") % {"reason": user.closed_reason}),
            Table(
                [
                    Line(_("Closed on"), day(user.closed_at or timezone.now())),
                    *[Line(_("Subscription that ended"), plan) for plan in plans],
                ]
            ),
            Paragraph(_("Licences that you bought stay yours. Keep your receipts: they name them.")),
            Paragraph(_("Unpaid orders are cancelled. Money that still reaches us for one is returned to you.")),
            *_for_sellers(user),
            contest(),
        ],
    )


def _for_sellers(user: User) -> list[Block]:
    if user.seller_since_at is None:
        return []
    return [
        Paragraph(_("Your works are not sold any more. The licences that you sold stay with their buyers.")),
        Paragraph(
            _("What you have earned is still sent to your Stripe account. If that is not possible, we write to you.")
        ),
    ]


def _reopened(user_id: UUID, _occasion: str, /) -> Content | Outdated:
    if not User.objects.get(pk=user_id).is_active:
        return Outdated("The account was closed again since.")
    return _compose_reopened()


def _compose_reopened() -> Content:
    return Content(
        subject_line=_("Your account is open again"),
        headline=_("Your account is open again"),
        blocks=[
            Notice(_("You can log in again with your e-mail address and your password."), "good"),
            Paragraph(_("Your subscription stays ended: nothing is charged unless you subscribe again.")),
        ],
    )


def _sample() -> User:
    at = timezone.now()
    return User(closed_at=at, closed_reason="You asked us to close it.", seller_since_at=at)


ACCOUNT_CLOSED = Message(
    "account_closed",
    Audience.BUYER,
    "Staff closed an account.",
    _closed,
    lambda: _compose_closed(_sample(), ["Studio"]),
)
ACCOUNT_REOPENED = Message(
    "account_reopened",
    Audience.BUYER,
    "Staff opened a closed account again.",
    _reopened,
    _compose_reopened,
)
MESSAGES: Sequence[Message] = (ACCOUNT_CLOSED, ACCOUNT_REOPENED)
