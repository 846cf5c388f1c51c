"""Closing an account, and opening it again. An account has rows on every floor: this page says what follows on each.

Everything is one commit, under the lock of the account; what needs a provider is due for a worker. Whoever places an
order or subscribes takes the same lock, so nothing that would be charged is made beside it.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from connect import closing as sales
from connect.closing import ClosedSellerMoney
from marketplace import closing as purchases
from marketplace.models import CartItem, License, Order, Product
from marketplace.states import HELD_STATUSES, OrderStatus
from subscriptions.closing import end_subscriptions, live_subscription_of
from subscriptions.models import Subscription
from veza.backoffice.account_messages import ACCOUNT_CLOSED, ACCOUNT_REOPENED
from veza.core import accounts, writes
from veza.core.api import sessions
from veza.core.causes import Cause
from veza.core.email.outbox import write_email
from veza.core.errors import NotAllowed
from veza.core.models import User


class StaffAccount(NotAllowed):
    code = "staff_account"
    http_status = 403


@writes.atomic()
def close_account(*, user_id: UUID, closed_by: User, cause: Cause, at: datetime) -> User:
    """Close a user's account: they cannot log in, and nothing is charged to them any more.

    The subscription ends, the cart is emptied, and payment pages are closed by the worker. Works leave sale with the
    plan. Licences stay, orders can still be refunded, and what a seller is owed is sent, or needs review. The user
    reads the cause's reason. Raises OwnAccount, StaffAccount, AccountClosed.
    """
    user = _lock(user_id, decided_by=closed_by, cause=cause)
    accounts.close(user, reason=cause.reason, at=at)
    sessions.end_all(user)
    purchases.end_purchases(user.pk)
    end_subscriptions(user.pk, cause=cause, at=at)
    if user.seller_since_at is not None:
        sales.review_money(user)
    write_email(ACCOUNT_CLOSED, user, to=user.pk, occasion=at.isoformat())
    return user


@writes.atomic()
def reopen_account(*, user_id: UUID, reopened_by: User, cause: Cause, at: datetime) -> User:
    """Let the user log in again. What ended stays ended: they subscribe and order again if they like.

    Raises OwnAccount, StaffAccount, AccountNotClosed.
    """
    user = _lock(user_id, decided_by=reopened_by, cause=cause)
    accounts.reopen(user)
    write_email(ACCOUNT_REOPENED, user, to=user.pk, occasion=at.isoformat())
    return user


def _lock(user_id: UUID, *, decided_by: User, cause: Cause) -> User:
    """Members of staff are locked out by a superuser only: else one clerk could leave the others without a log-in."""
    accounts.refuse_own(user_id, cause)
    user = accounts.lock_account(user_id)
    if (user.is_staff or user.is_superuser) and not decided_by.is_superuser:
        raise StaffAccount(f"{user.email} is a member of staff: ask a superuser.")
    return user


@dataclass(frozen=True)
class Holdings:
    """What a user has that a closing ends or leaves."""

    subscription: Subscription | None
    cart_items: int
    unpaid_orders: int
    licenses: int
    works_on_sale: int
    money: ClosedSellerMoney


def holdings_of(user: User) -> Holdings:
    """What closing the account would end or leave, as of now."""
    return Holdings(
        subscription=live_subscription_of(user.pk),
        cart_items=CartItem.objects.filter(owner=user).count(),
        unpaid_orders=Order.objects.filter(buyer=user, status=OrderStatus.PENDING).count(),
        licenses=License.objects.filter(holder=user, status__in=HELD_STATUSES).count(),
        works_on_sale=Product.objects.filter(seller=user, published=True, taken_off_sale_at=None).count(),
        money=sales.money_of(user.pk),
    )
