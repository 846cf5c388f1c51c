"""What staff may do about a user's account as a whole: close it, and open it again."""

from collections.abc import Iterator, Mapping
from typing import Any

from django.utils import timezone

from veza.backoffice.closing import Holdings, close_account, holdings_of, reopen_account
from veza.core.admin_actions import ActionForm, ActionRequest, AdminAction, reason_field
from veza.core.causes import Cause
from veza.core.models import User
from veza.core.money import format_amounts
from veza.core.words import format_status


class ReasonForTheUser(ActionForm):
    """A reason that is written to the user."""

    reason = reason_field("The user reads it, without your name. The history shows it with your name.")


class _OfAccount(AdminAction[User]):
    permission = "core.close_account"
    for_selection = False

    def version_of(self, row: User) -> str:
        return f"{row.is_active} {row.closed_at}"


class CloseAccount(_OfAccount):
    label = "Close account"

    def is_available(self, row: User) -> bool:
        return row.closed_at is None

    def form(self, row: User, data: Mapping[str, Any] | None = None) -> ActionForm:
        return ReasonForTheUser(data)

    def preview(self, row: User, *, params: ActionRequest) -> list[str]:
        holdings = holdings_of(row)
        return [
            f"{row.email} cannot log in any more: every session ends. Nothing is charged to them from now on.",
            _sentence_about_subscription(holdings),
            f"Cart items that are removed: {holdings.cart_items}. Unpaid orders whose payment pages the worker closes: "
            f"{holdings.unpaid_orders}. What is paid all the same is returned.",
            f"Licences that stay theirs: {holdings.licenses}. Their orders can still be refunded.",
            *(_sentences_about_sales(holdings) if row.seller_since_at else ()),
            "An e-mail tells them what, why (your reason, word for word), since when, and how to contest it.",
        ]

    def perform(self, row: User, *, cause: Cause, params: ActionRequest) -> str:
        close_account(user_id=row.pk, closed_by=params.by, cause=cause, at=timezone.now())
        return "The account is closed."


def _sentence_about_subscription(holdings: Holdings) -> str:
    subscription = holdings.subscription
    if subscription is None:
        return "They have no subscription."
    name, status = subscription.plan.name, format_status(subscription.status)
    return (
        f"Their subscription to {name} ({status}) ends now. The rest of a paid period is not refunded: refund its "
        "invoice if it should be. A charge on its way is returned by itself."
    )


def _sentences_about_sales(holdings: Holdings) -> Iterator[str]:
    money = holdings.money
    yield f"Works that leave sale: {holdings.works_on_sale}. Licences already sold stay with their holders."
    if money.unsent and money.can_be_sent:
        yield f"{format_amounts(money.unsent)} that they have earned is still sent to their account at Stripe."
    elif money.unsent:
        yield f"{format_amounts(money.unsent)} that they have earned cannot be sent now: a review item asks what to do."
    if money.debts:
        yield f"They owe {format_amounts(money.debts)}: a review item asks what to do."


class ReopenAccount(_OfAccount):
    label = "Reopen account"

    def is_available(self, row: User) -> bool:
        return not row.is_active

    def preview(self, row: User, *, params: ActionRequest) -> list[str]:
        return [
            f"{row.email} can log in again, with the password they had.",
            "Their subscription stays ended, and so do the works that need its plan. They may subscribe again.",
            "They are told by e-mail.",
        ]

    def perform(self, row: User, *, cause: Cause, params: ActionRequest) -> str:
        reopen_account(user_id=row.pk, reopened_by=params.by, cause=cause, at=timezone.now())
        return "The account is open again."
