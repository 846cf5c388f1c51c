"""Pairs of tokens: a short access token, and a refresh token that works once.

This is the only module that knows simplejwt's tokens. A refresh token that is used a second time has been copied,
and it is impossible to tell which copy is the thief's: all sessions of that user end.
"""

from dataclasses import dataclass

import structlog
from django.db import transaction
from django.utils import timezone
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken
from rest_framework_simplejwt.tokens import RefreshToken, Token
from rest_framework_simplejwt.utils import get_md5_hash_password

from veza.core.errors import NotAllowed
from veza.core.models import User

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Session:
    access_token: str
    refresh_token: str
    expires_in: int
    token_type: str = "Bearer"  # noqa: S105  # The scheme of RFC 6750, not a secret.


class SessionEnded(NotAllowed):
    code = "token_not_valid"
    http_status = 401


class _AnyRefreshToken(RefreshToken):
    """A refresh token whose signature and claims are checked, but not whether it was used already."""

    def check_blacklist(self) -> None:
        """`renew` checks it under a lock instead."""


def begin(user: User) -> Session:
    """A new session for a user whose password was right."""
    token = RefreshToken.for_user(user)
    lifetime = int(api_settings.ACCESS_TOKEN_LIFETIME.total_seconds())
    return Session(access_token=str(token.access_token), refresh_token=str(token), expires_in=lifetime)


def renew(refresh_token: str) -> Session:
    """Exchange a refresh token for a new pair. A second use ends all sessions. Raises SessionEnded."""
    try:
        token = _AnyRefreshToken(refresh_token)  # type: ignore[arg-type]  # Its annotation is wrong.
    except TokenError:
        raise SessionEnded("This refresh token is not valid. Log in again.") from None
    # The revocation below has to be committed, so it cannot leave the transaction as an exception.
    session = _exchange(token)
    if session is None:
        raise SessionEnded("This session has ended. Log in again.")
    return session


@transaction.atomic(durable=True)
def _exchange(token: Token) -> Session | None:
    record = (
        OutstandingToken.objects.select_for_update(no_key=True, of=("self",))
        .filter(jti=token[api_settings.JTI_CLAIM])
        .select_related("user")
        .first()
    )
    if record is None or record.user is None:
        return None
    user = record.user
    if BlacklistedToken.objects.filter(token=record).exists():
        log.warning("refresh_token_used_twice", user=str(user.pk))
        end_all(user)
        return None
    BlacklistedToken.objects.create(token=record)
    same_password = token.get(api_settings.REVOKE_TOKEN_CLAIM) == get_md5_hash_password(user.password)
    return begin(user) if user.is_active and same_password else None


def end_all(user: User) -> None:
    """Revoke all refresh tokens of a user. Access tokens expire by themselves soon."""
    alive = OutstandingToken.objects.filter(user=user, blacklistedtoken__isnull=True, expires_at__gt=timezone.now())
    BlacklistedToken.objects.bulk_create([BlacklistedToken(token=token) for token in alive], ignore_conflicts=True)
