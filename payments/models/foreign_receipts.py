"""What a payment received in another currency than first, and what refunds and disputes take of the one it holds."""

from django.db import models
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Coalesce

from veza.core.models import KeyedRow

# Of a refund or dispute: its amount in the currency in which it is booked.
BOOKED_MINOR = Coalesce("converted_minor", "amount_minor")


class ForeignReceipt(KeyedRow):
    """What a payment received in another currency than first, after Hyperswitch did not hold the first any more.

    As of the payment itself, `received_minor` never falls: what Hyperswitch does not hold any more is a void.
    """

    payment = models.ForeignKey("payments.Payment", on_delete=models.PROTECT, related_name="foreign_receipts")
    currency = models.CharField(max_length=3)
    received_minor = models.BigIntegerField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(received_minor__gt=0), name="foreign_receipt_amount_positive"),
            models.CheckConstraint(condition=Q(currency__regex="^[A-Z]{3}$"), name="foreign_receipt_currency_code"),
            models.UniqueConstraint(fields=["payment", "currency"], name="one_foreign_receipt_per_currency"),
        ]


def is_unconverted() -> Q:
    """Of a refund or dispute: it is in a currency that its payment never received, and finance has not entered the
    amount in the one that the payment holds.
    """
    receipts = ForeignReceipt.objects.filter(payment=OuterRef("payment"), currency=OuterRef("currency"))
    is_of_no_receipt = ~Q(payment__received_currency__in=["", F("currency")]) & ~Exists(receipts)
    return is_of_no_receipt & Q(converted_minor__isnull=True)
