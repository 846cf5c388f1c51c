"""A seller's account at Stripe: its status, and the link to finish it."""

from datetime import UTC, datetime
from typing import Any, cast

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from connect.accounts import AccountStatus, account_status_of, refresh_account, start_onboarding
from connect.models import ConnectedAccount
from connect.stripe.objects import OnboardingLink
from marketplace.api.standing import RestrictionOutput, restrictions_of
from veza.core.api.inputs import Input, input_of
from veza.core.api.throttles import MovingMoney, Reading
from veza.core.models import User


class OnboardingInput(Input):
    """Where the seller lives or is registered: two letters by ISO 3166. It cannot be changed afterwards."""

    country = serializers.RegexField("^[A-Z]{2}$")


class AccountOutput(serializers.Serializer[Any]):
    """The account's status. Transfers are sent once it is `active`; `currently_due` is what Stripe still needs."""

    status = serializers.ChoiceField(choices=AccountStatus.choices)
    transfers_active = serializers.BooleanField()
    payouts_enabled = serializers.BooleanField()
    details_submitted = serializers.BooleanField()
    currently_due = serializers.ListField(child=serializers.CharField())
    country = serializers.CharField()
    stripe_account_id = serializers.CharField(allow_null=True)
    restrictions = RestrictionOutput(many=True, help_text="Ours, not Stripe's: while one is in force, money waits.")


class OnboardingOutput(AccountOutput):
    """The account, and the page at Stripe to redirect the seller to at once: for one visit, within minutes."""

    url = serializers.URLField()
    expires_at = serializers.DateTimeField()


class Account(APIView):
    throttle_classes = (Reading, MovingMoney)

    @extend_schema(
        operation_id="get_account",
        tags=["connect"],
        summary="Your account at Stripe",
        description="Returning from Stripe's forms does not make the account active: read its status here. An "
        "account that is not active yet is refreshed from Stripe.",
        responses=AccountOutput,
    )
    def get(self, request: Request) -> Response:
        """The seller's account. One that is not active yet is refreshed from Stripe."""
        seller = cast(User, request.user)
        account = _account_of(seller)
        if account_status_of(account) in (AccountStatus.ONBOARDING, AccountStatus.RESTRICTED):
            refresh_account(seller_id=seller.pk)
            account = _account_of(seller)
        return Response(AccountOutput(_account_data(seller, account)).data)

    @extend_schema(
        operation_id="create_account",
        tags=["connect"],
        summary="Open your account at Stripe, or continue with it",
        description="A repeated request creates a new link to the same account.",
        request=OnboardingInput,
        responses={201: OnboardingOutput},
        examples=[OpenApiExample("France", {"country": "FR"}, request_only=True)],
    )
    def post(self, request: Request) -> Response:
        """Open the account and return a link to Stripe's forms."""
        payload = input_of(request, OnboardingInput)
        seller = cast(User, request.user)
        onboarding = start_onboarding(seller=seller, **payload)
        payload = {**_account_data(seller, onboarding.account), **_link_data(onboarding.link)}
        return Response(OnboardingOutput(payload).data, status=201)


def _account_of(seller: User) -> ConnectedAccount | None:
    return ConnectedAccount.objects.filter(seller=seller).first()


def _account_data(seller: User, account: ConnectedAccount | None) -> dict[str, Any]:
    status = account_status_of(account).value
    account = account or ConnectedAccount()
    return {
        "status": status,
        "transfers_active": account.transfers_active,
        "payouts_enabled": account.payouts_enabled,
        "details_submitted": account.details_submitted,
        "currently_due": account.currently_due,
        "country": account.country,
        "stripe_account_id": account.stripe_account_id,
        "restrictions": restrictions_of(seller.pk),
    }


def _link_data(link: OnboardingLink) -> dict[str, Any]:
    return {"url": link.url, "expires_at": datetime.fromtimestamp(link.expires_at, UTC)}
