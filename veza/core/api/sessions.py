"""Log-ins to the API: a short access token, and a refresh token that is exchanged for the next pair.

Both name their row, and die with it. A refresh token also names the renewal that made it, so that none is stored and
each works once. An answer may be lost on its way: for some seconds the same exchange is answered again. After that, a
token that was exchanged already has been copied, and it is impossible to tell which copy is the thief's: all sessions
of that user end.

This is the only module that knows simplejwt's tokens.
"""

from dataclasses import dataclass
from datetime import timedelta

import structlog
from django.conf import settings
from django.db import transaction
from django.utils import timezone
from rest_framework.request import Request
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import AuthenticationFailed, TokenError
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken, Token
from rest_framework_simplejwt.utils import get_md5_hash_password

from veza.core.errors import NotAllowed
from veza.core.models import ApiSession, SignInMethod, User

log = structlog.get_logger(__name__)

SESSION, RENEWAL = "session", "renewal"
ANSWERED_AGAIN_FOR = timedelta(seconds=10)


@dataclass(frozen=True)
class Session:
    access_token: str
    refresh_token: str
    expires_in: int
    token_type: str = "Bearer"  # noqa: S105  # The scheme of RFC 6750, not a secret.


class SessionEnded(NotAllowed):
    code = "token_not_valid"
    http_status = 401


class SecondFactorNeeded(NotAllowed):
    code = "second_factor_needed"
    http_status = 403


class SessionAuthentication(JWTAuthentication):
    """The user of an access token whose session goes on: one read for both."""

    def get_user(self, validated_token: Token) -> User:  # type: ignore[override]  # Ours is the only model of users.
        sessions = ApiSession.objects.select_related("user").filter(ended_at__isnull=True)
        session = sessions.filter(pk=validated_token.get(SESSION)).first()
        if session is None or not _may_go_on(session, validated_token):
            raise AuthenticationFailed("This session has ended. Log in again.", code="token_not_valid")
        return session.user


def begin(user: User, method: SignInMethod = SignInMethod.PASSWORD, *, access_for: timedelta | None = None) -> Session:
    """A new session for a user whose password was right, or whom an operator vouches for.

    Its first access token expires after `access_for`, by default after ACCESS_TOKEN_LIFETIME. Raises
    SecondFactorNeeded where a password alone opens no API to staff.
    """
    now = timezone.now()
    if _needs_second_factor(user, method):
        raise SecondFactorNeeded("A password alone does not open the API to staff. Use the back-office.")
    ApiSession.objects.filter(user=user, expires_at__lt=now).delete()
    session = ApiSession.objects.create(
        user=user, method=method, begun_at=now, renewed_at=now, expires_at=now + api_settings.REFRESH_TOKEN_LIFETIME
    )
    return _pair_of(session, access_for or api_settings.ACCESS_TOKEN_LIFETIME)


def renew(refresh_token: str) -> Session:
    """Exchange a refresh token for a new pair. A copied one ends all sessions of its owner. Raises SessionEnded."""
    try:
        token = RefreshToken(refresh_token)  # type: ignore[arg-type]  # Its annotation is wrong.
    except TokenError:
        raise SessionEnded("This refresh token is not valid. Log in again.") from None
    # The revocation below has to be committed, so it cannot leave the transaction as an exception.
    pair = _exchange(token)
    if pair is None:
        raise SessionEnded("This session has ended. Log in again.")
    return pair


@transaction.atomic(durable=True)
def _exchange(token: Token) -> Session | None:
    sessions = ApiSession.objects.select_for_update(no_key=True, of=("self",)).select_related("user")
    session = sessions.filter(pk=token.get(SESSION), ended_at__isnull=True).first()
    if session is None or not _may_go_on(session, token):
        return None
    now, renewal = timezone.now(), token.get(RENEWAL)
    if renewal == session.renewals:
        session.renewals, session.renewed_at = session.renewals + 1, now
        session.expires_at = now + api_settings.REFRESH_TOKEN_LIFETIME
        session.save(update_fields=["renewals", "renewed_at", "expires_at"])
        return _pair_of(session)
    if renewal == session.renewals - 1 and now - session.renewed_at < ANSWERED_AGAIN_FOR:
        return _pair_of(session)
    log.warning("refresh_token_used_twice", user=str(session.user_id))
    end_all(session.user)
    return None


def end(request: Request) -> None:
    """End the session of the access token that came with the request. Its tokens work no longer."""
    token = request.auth
    if isinstance(token, Token):
        ApiSession.objects.filter(pk=token.get(SESSION), ended_at__isnull=True).update(ended_at=timezone.now())


def end_all(user: User) -> None:
    """End all sessions of a user: none of their tokens works any longer."""
    ApiSession.objects.filter(user=user, ended_at__isnull=True).update(ended_at=timezone.now())


def _pair_of(session: ApiSession, lifetime: timedelta = api_settings.ACCESS_TOKEN_LIFETIME) -> Session:
    refresh = RefreshToken.for_user(session.user)
    refresh[SESSION], refresh[RENEWAL] = str(session.pk), session.renewals
    access = AccessToken.for_user(session.user)
    access[SESSION] = str(session.pk)
    access.set_exp(lifetime=lifetime)
    return Session(str(access), str(refresh), expires_in=int(lifetime.total_seconds()))


def _may_go_on(session: ApiSession, token: Token) -> bool:
    """Whether the user may log in as they did, and has the password of when the token was made."""
    user = session.user
    same_password = token.get(api_settings.REVOKE_TOKEN_CLAIM) == get_md5_hash_password(user.password)
    return user.is_active and same_password and not _needs_second_factor(user, session.method)


def _needs_second_factor(user: User, method: str) -> bool:
    in_production = settings.VEZA_ENVIRONMENT != "development"
    return user.is_staff and in_production and method == SignInMethod.PASSWORD
