"""What a seller sees of their money."""

from typing import Any

from rest_framework import serializers

from connect.models import SellerTransfer


class TransferOutput(serializers.ModelSerializer[SellerTransfer]):
    """One transfer. `waiting_for` names what has to change outside before it can go on."""

    order_id = serializers.UUIDField(read_only=True)

    class Meta:
        model = SellerTransfer
        fields = [
            "id",
            "order_id",
            "status",
            "amount_minor",
            "currency",
            "stripe_transfer_id",
            "stripe_reversal_id",
            "reversed_minor",
            "waiting_for",
            "created_at",
        ]
        read_only_fields = fields


class BalanceOutput(serializers.Serializer[Any]):
    """What waits to be sent to the seller, and what the seller owes us, in one currency."""

    available_minor = serializers.IntegerField()
    debt_minor = serializers.IntegerField()
    currency = serializers.CharField()
