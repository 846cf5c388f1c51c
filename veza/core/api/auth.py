"""Log-in, token refresh and log-out."""

from typing import cast

from django.contrib.auth import authenticate
from drf_spectacular.contrib.rest_framework_simplejwt import SimpleJWTScheme
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from veza.core.api import lockout, sessions
from veza.core.api.inputs import Input, input_of
from veza.core.api.requests import source_address
from veza.core.errors import NotAllowed
from veza.core.models import User


class InvalidCredentials(NotAllowed):
    """One answer for an unknown user, a wrong password, a closed account: none is confirmed."""

    code = "invalid_credentials"
    http_status = 401


class SessionScheme(SimpleJWTScheme):  # type: ignore[no-untyped-call]  # It registers itself, by being defined.
    """How the OpenAPI document says that a call wants an access token."""

    target_class = "veza.core.api.sessions.SessionAuthentication"


class LoginInput(Input):
    email = serializers.CharField(max_length=254)
    password = serializers.CharField(max_length=1000, trim_whitespace=False)


class RefreshInput(Input):
    refresh_token = serializers.CharField(max_length=4000)


class LogoutInput(Input):
    everywhere = serializers.BooleanField(default=False)


class SessionOutput(serializers.Serializer[sessions.Session]):
    access_token = serializers.CharField()
    refresh_token = serializers.CharField()
    token_type = serializers.CharField()
    expires_in = serializers.IntegerField(help_text="Seconds until the access token expires.")


class PublicView(APIView):
    """A view that needs no log-in. A stale token in the header must not get a 401."""

    authentication_classes = ()
    permission_classes = (AllowAny,)


class Login(PublicView):
    @extend_schema(
        summary="Log in",
        request=LoginInput,
        responses=SessionOutput,
        operation_id="create_session",
        tags=["auth"],
    )
    def post(self, request: Request) -> Response:
        payload = input_of(request, LoginInput)
        user = _authenticate(request, payload["email"], payload["password"])
        return Response(SessionOutput(sessions.begin(user)).data)


class Refresh(PublicView):
    @extend_schema(
        summary="Exchange a refresh token for a new pair",
        description="A refresh token works once; within ten seconds the same exchange is answered again, in case the "
        "answer was lost. Using it later ends all sessions of its owner, and their access tokens.",
        request=RefreshInput,
        responses=SessionOutput,
        operation_id="refresh_session",
        tags=["auth"],
    )
    def post(self, request: Request) -> Response:
        payload = input_of(request, RefreshInput)
        return Response(SessionOutput(sessions.renew(payload["refresh_token"])).data)


class Logout(APIView):
    @extend_schema(
        summary="Log out",
        description="Ends the session of the access token, or with `everywhere` all sessions of the user. Their "
        "access tokens and refresh tokens work no longer.",
        request=LogoutInput,
        responses={204: None},
        operation_id="delete_session",
        tags=["auth"],
    )
    def post(self, request: Request) -> Response:
        payload = input_of(request, LogoutInput)
        if payload["everywhere"]:
            sessions.end_all(cast(User, request.user))
        else:
            sessions.end(request)
        return Response(status=204)


def _authenticate(request: Request, email: str, password: str) -> User:
    counted = lockout.count_try(email, source_address(request))
    # Django hashes the password for unknown and closed accounts too, so the three take equally long.
    user = authenticate(request._request, username=email, password=password)
    if not isinstance(user, User):
        raise InvalidCredentials("E-mail address or password is wrong.")
    counted.succeeded(user)
    return user
