"""A seller's own transfers and balance."""

from typing import Any, cast

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from connect.api.serializers import BalanceOutput, TransferOutput
from connect.models import SellerTransfer
from connect.reporting.balance import read_balances
from veza.core.models import User


class Transfers(ListAPIView[SellerTransfer]):
    """The seller's own transfers, newest first."""

    serializer_class = TransferOutput
    queryset = SellerTransfer.objects.none()

    def get_queryset(self) -> QuerySet[SellerTransfer]:
        return SellerTransfer.objects.filter(seller=cast(User, self.request.user))

    @extend_schema(operation_id="list_transfers", tags=["connect"])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """The seller's own transfers, newest first."""
        return super().get(request, *args, **kwargs)


class BalanceView(APIView):
    """The seller's money, and what of it may be paid out."""

    @extend_schema(
        operation_id="get_balance",
        tags=["connect"],
        summary="Your balance",
        description="What may be paid out to your bank now, what is maturing and until when, and what you owe us, in "
        "each currency that you were ever paid in. Stripe is asked for the balance of your account there.",
        responses=BalanceOutput(many=True),
    )
    def get(self, request: Request) -> Response:
        """What may be paid out, what is maturing or held, what waits to be sent, and the debts."""
        return Response(BalanceOutput(read_balances(cast(User, request.user).pk), many=True).data)
