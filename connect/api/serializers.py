"""The API's view of a seller's money."""

from typing import Any

from rest_framework import serializers

from connect.models import SellerTransfer


class TransferOutput(serializers.ModelSerializer[SellerTransfer]):
    """One transfer. `waiting_for` names what has to happen before it can proceed."""

    order_id = serializers.UUIDField(read_only=True)
    kept_back_minor = serializers.IntegerField(
        source="net_withheld_minor",
        read_only=True,
        help_text="Not sent, because it paid what you owed for another order.",
    )

    class Meta:
        model = SellerTransfer
        fields = [
            "id",
            "order_id",
            "status",
            "amount_minor",
            "kept_back_minor",
            "currency",
            "stripe_transfer_id",
            "stripe_reversal_id",
            "reversed_minor",
            "waiting_for",
            "created_at",
        ]
        read_only_fields = fields


class ReasonOutput(serializers.Serializer[Any]):
    """A refund or a lost dispute, and how much of it was the seller's."""

    kind = serializers.ChoiceField(choices=[("refund", "refund"), ("dispute", "dispute")])
    id = serializers.UUIDField()
    amount_minor = serializers.IntegerField()


class DebtOutput(serializers.Serializer[Any]):
    """What the seller still owes of one transfer. It is recovered from their balance at Stripe or their next sales."""

    transfer_id = serializers.UUIDField()
    order_id = serializers.UUIDField()
    owed_minor = serializers.IntegerField(source="amount_minor")
    waiting_for = serializers.CharField(allow_blank=True)
    next_try_at = serializers.DateTimeField(source="next_retry_at", allow_null=True)
    because = ReasonOutput(source="reasons", many=True)


class BalanceOutput(serializers.Serializer[Any]):
    """What waits to be sent to the seller, and what the seller owes us, in one currency.

    `debts` may come to more than `debt_minor`: what waits to be sent is offset against them.
    """

    available_minor = serializers.IntegerField()
    debt_minor = serializers.IntegerField()
    currency = serializers.CharField()
    debts = DebtOutput(many=True)
