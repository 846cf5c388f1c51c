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

    next_try_at = serializers.DateTimeField(
        source="next_retry_at",
        read_only=True,
        help_text="When it is sent or reversed next; null: nothing is to be done.",
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
            "next_try_at",
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


class MaturingOutput(serializers.Serializer[Any]):
    """The shares of one day's sales, and when all of them may be paid out."""

    amount_minor = serializers.IntegerField()
    matures_at = serializers.DateTimeField()


class BalanceOutput(serializers.Serializer[Any]):
    """The seller's money in one currency.

    `debts` may come to more than `debt_minor`: what waits to be sent is offset against them.
    """

    available_minor = serializers.IntegerField(
        allow_null=True, help_text="May be paid out to your bank now. null while Stripe does not tell us."
    )
    maturing_minor = serializers.IntegerField(
        help_text="Your share of sales that are too young to be paid out, whether it was sent to your account yet."
    )
    matures_at = serializers.DateTimeField(allow_null=True, help_text="When the first of it may be paid out.")
    maturing = MaturingOutput(many=True, help_text="By day, the earliest first.")
    held_minor = serializers.IntegerField(
        help_text="Disputed, in a refund that is pending or that our support has yet to decide about, to be reversed, "
        "or in a payout that Stripe has not answered."
    )
    unsent_minor = serializers.IntegerField(
        help_text="Waits to be sent to your account at Stripe. It may be maturing as well."
    )
    debt_minor = serializers.IntegerField(help_text="What you owe us.")
    currency = serializers.CharField()
    debts = DebtOutput(many=True)
