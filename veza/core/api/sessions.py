"""Pairs of tokens: a short access token, and a refresh token that works once.

This is the only page that knows simplejwt's tokens. A refresh token that comes back after it was exchanged
has been copied by somebody, and nobody can tell which holder is the thief: all sessions of that person end.
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
    token_type: str = "Bearer"  # noqa: S105  # The word from RFC 6750, not a secret.


class SessionEnded(NotAllowed):
    code = "token_not_valid"
    http_status = 401


class _SpentOrNot(RefreshToken):
    """A refresh token whose signature and claims are checked, but not whether it was used already."""

    def check_blacklist(self) -> None:
        """Looked up under a lock by `renew` instead."""


def begin(user: User) -> Session:
    """A new session for a person whose password was right."""
    token = RefreshToken.for_user(user)
    lifetime = int(api_settings.ACCESS_TOKEN_LIFETIME.total_seconds())
    return Session(access_token=str(token.access_token), refresh_token=str(token), expires_in=lifetime)


def renew(refresh_token: str) -> Session:
    """Exchange a refresh token for a new pair. A second use ends all sessions. Raises SessionEnded."""
    try:
        token = _SpentOrNot(refresh_token)  # type: ignore[arg-type]  # Its annotation is wrong.
    except TokenError:
        raise SessionEnded("This refresh token is not valid. Log in again.") from None
    # The revocation below has to be committed, so it cannot leave the transaction as an exception.
    session = _exchange(token)
    if session is None:
        raise SessionEnded("This session has ended. Log in again.")
    return session


@transaction.atomic(durable=True)
def _exchange(token: Token) -> Session | None:
    issued = (
        OutstandingToken.objects.select_for_update(no_key=True, of=("self",))
        .filter(jti=token[api_settings.JTI_CLAIM])
        .select_related("user")
        .first()
    )
    if issued is None or issued.user is None:
        return None
    user = issued.user
    if BlacklistedToken.objects.filter(token=issued).exists():
        log.warning("refresh_token_used_twice", user=str(user.pk))
        end_all(user)
        return None
    BlacklistedToken.objects.create(token=issued)
    unchanged = token.get(api_settings.REVOKE_TOKEN_CLAIM) == get_md5_hash_password(user.password)
    return begin(user) if user.is_active and unchanged else None


def end_all(user: User) -> None:
    """Let none of the person's refresh tokens be exchanged again. Access tokens end by themselves soon."""
    alive = OutstandingToken.objects.filter(user=user, blacklistedtoken__isnull=True, expires_at__gt=timezone.now())
    BlacklistedToken.objects.bulk_create([BlacklistedToken(token=token) for token in alive], ignore_conflicts=True)
