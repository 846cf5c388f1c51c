"""A seller's account at Stripe: how far it is, and the way on."""

from datetime import UTC, datetime
from typing import Any, cast

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from connect.accounts import Standing, refresh_account, standing_of, start_onboarding
from connect.models import ConnectedAccount
from connect.stripe.objects import OnboardingLink
from veza.core.api.throttles import MovingMoney, Reading
from veza.core.models import User


class OnboardingInput(serializers.Serializer[Any]):
    """Where the seller lives or is registered: two letters by ISO 3166. It cannot be changed afterwards."""

    country = serializers.RegexField("^[A-Z]{2}$")


class AccountOutput(serializers.Serializer[Any]):
    """How far the account is. Transfers go when `status` is `active`; `currently_due` is what Stripe still asks."""

    status = serializers.ChoiceField(choices=Standing.choices)
    transfers_active = serializers.BooleanField()
    payouts_enabled = serializers.BooleanField()
    details_submitted = serializers.BooleanField()
    currently_due = serializers.ListField(child=serializers.CharField())
    country = serializers.CharField()
    stripe_account_id = serializers.CharField(allow_null=True)


class OnboardingOutput(AccountOutput):
    """The account, and the page at Stripe to send the seller to at once: for one visit, within minutes."""

    url = serializers.URLField()
    expires_at = serializers.DateTimeField()


class Account(APIView):
    throttle_classes = (Reading, MovingMoney)

    @extend_schema(
        operation_id="get_account",
        tags=["connect"],
        summary="How far your account at Stripe is",
        description="Coming back from Stripe proves nothing: ask here. An account that is not active yet is read anew.",
        responses=AccountOutput,
    )
    def get(self, request: Request) -> Response:
        """How far the seller's account is. One that is not active yet is read at Stripe."""
        seller = cast(User, request.user)
        account = _account_of(seller)
        if standing_of(account) in (Standing.ONBOARDING, Standing.RESTRICTED):
            refresh_account(seller_id=seller.pk)
            account = _account_of(seller)
        return Response(AccountOutput(_shown(account)).data)

    @extend_schema(
        operation_id="create_account",
        tags=["connect"],
        summary="Open your account at Stripe, or go on with it",
        description="Asking again makes a new link to the same account.",
        request=OnboardingInput,
        responses={201: OnboardingOutput},
        examples=[OpenApiExample("France", {"country": "FR"}, request_only=True)],
    )
    def post(self, request: Request) -> Response:
        """Open the account and answer a link to Stripe's forms."""
        params = OnboardingInput(data=request.data)
        params.is_valid(raise_exception=True)
        opened = start_onboarding(seller=cast(User, request.user), **params.validated_data)
        return Response(OnboardingOutput({**_shown(opened.account), **_link(opened.link)}).data, status=201)


def _account_of(seller: User) -> ConnectedAccount | None:
    return ConnectedAccount.objects.filter(seller=seller).first()


def _shown(account: ConnectedAccount | None) -> dict[str, Any]:
    status = standing_of(account).value
    account = account or ConnectedAccount()
    return {
        "status": status,
        "transfers_active": account.transfers_active,
        "payouts_enabled": account.payouts_enabled,
        "details_submitted": account.details_submitted,
        "currently_due": account.currently_due,
        "country": account.country,
        "stripe_account_id": account.stripe_account_id,
    }


def _link(link: OnboardingLink) -> dict[str, Any]:
    return {"url": link.url, "expires_at": datetime.fromtimestamp(link.expires_at, UTC)}
