"""A user's account: open, closed by staff, and open again. What a closing ends on each floor is the floors' own.

Whoever makes something that a user will be charged for locks the account first: either it is committed before the
account is closed, and the closing finds and ends it, or it is refused.
"""

from datetime import datetime
from uuid import UUID

from django.db import connection

from veza.core.causes import Cause
from veza.core.errors import NotAllowed
from veza.core.models import User


class AccountClosed(NotAllowed):
    code = "account_closed"
    http_status = 403


class OwnAccount(NotAllowed):
    code = "own_account"
    http_status = 403


class AccountNotClosed(NotAllowed):
    code = "account_not_closed"
    http_status = 409


def refuse_own(user_id: UUID, cause: Cause) -> None:
    """Staff decide about the accounts and the money of others only. Raises OwnAccount."""
    if cause.kind == "staff" and cause.id == user_id:
        raise OwnAccount("You cannot decide about your own account or money: ask a colleague.")


def lock_account(user_id: UUID) -> User:
    """Lock a user's row until the transaction ends, before any row of theirs. Raises User.DoesNotExist."""
    assert connection.in_atomic_block, "a lock lasts as long as its transaction"
    return User.objects.select_for_update(no_key=True, of=("self",)).get(pk=user_id)


def lock_open_account(user_id: UUID) -> User:
    """The same for a user who is about to owe something. Raises AccountClosed."""
    user = lock_account(user_id)
    if not user.is_active:
        raise AccountClosed("This account is closed. Contact our support to have it opened again.")
    return user


def close(user: User, *, reason: str, at: datetime) -> None:
    """Close a locked account: its owner cannot log in any more, and reads `reason`. Raises AccountClosed."""
    if user.closed_at is not None:
        raise AccountClosed(f"The account of {user.email} is closed already.")
    _set(user, is_active=False, closed_at=at, closed_reason=reason)


def reopen(user: User) -> None:
    """Let the owner of a locked account log in again. Raises AccountNotClosed."""
    if user.is_active:
        raise AccountNotClosed(f"The account of {user.email} is open.")
    _set(user, is_active=True, closed_at=None, closed_reason="")


def is_open(user_id: UUID) -> bool:
    """Whether the user may log in, and so may be charged."""
    return User.objects.filter(pk=user_id, is_active=True).exists()


def _set(user: User, **fields: object) -> None:
    User.objects.filter(pk=user.pk).update(**fields)
    user.refresh_from_db()
