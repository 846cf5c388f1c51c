"""The API to become a seller."""

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from subscriptions.access import may_sell
from subscriptions.creators import become_creator
from veza.core.api.inputs import NoInput, input_of
from veza.core.api.requests import user_id_of
from veza.core.models import User


class CreatorOutput(serializers.ModelSerializer[User]):
    can_sell = serializers.SerializerMethodField()

    class Meta:
        model = User
        fields = ("id", "name", "seller_since_at", "can_sell")

    def get_can_sell(self, user: User) -> bool:
        """Whether their plan includes listing works for sale now."""
        return may_sell(user.pk, timezone.now())


class Creator(APIView):
    @extend_schema(
        operation_id="become_seller",
        summary="Become a seller",
        description="Listing works for sale also needs a plan that includes selling. A second request changes nothing.",
        request=None,
        responses=CreatorOutput,
        tags=["me"],
    )
    def post(self, request: Request) -> Response:
        input_of(request, NoInput)
        user = become_creator(user_id=user_id_of(request), at=timezone.now())
        return Response(CreatorOutput(user).data)
