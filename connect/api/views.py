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
from connect.reporting.balance import balances_of
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
    """The seller's balance with us."""

    @extend_schema(operation_id="get_balance", tags=["connect"], responses=BalanceOutput(many=True))
    def get(self, request: Request) -> Response:
        """What waits to be sent and the debts, in each currency the seller was ever paid in."""
        return Response(BalanceOutput(balances_of(cast(User, request.user).pk), many=True).data)
