"""Disputes. Amounts are minor units of `currency`."""

from typing import ClassVar, Self
from uuid import UUID

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from payments.models.foreign_receipts import is_unconverted
from payments.states import DISPUTE_MOVES, DisputeStatus
from veza.core import reads
from veza.core.models import LockableQuerySet, StatefulRow


class DisputeQuerySet(LockableQuerySet["Dispute"]):
    def in_doubt(self) -> Self:
        """Disputes that take a currency that their payment never received, of unknown amount in the one it holds."""
        return self.filter(is_unconverted()).exclude(funds_location=Dispute.FundsLocation.NOWHERE)


class Dispute(StatefulRow):
    """The payer's bank asks for the money back. Hyperswitch makes its id and reports it by webhook.

    `allocation` is what the ledger has posted: {account: minor units}, whose money it took. Empty when the
    dispute takes nothing (an inquiry, won, cancelled). `funds_location` is where that money is.
    """

    class FundsLocation(models.TextChoices):
        NOWHERE = ""
        SUSPENSE = "suspense"
        BANK = "bank"

    moves = DISPUTE_MOVES
    begins_with_default = False
    other_currencies: ClassVar = {"converted_minor": "payment.held_currency"}

    payment = models.ForeignKey("payments.Payment", on_delete=models.PROTECT, related_name="disputes")
    correlation_id = models.UUIDField()
    hyperswitch_dispute_id = models.CharField(max_length=64, unique=True)
    status = models.CharField(max_length=10, choices=DisputeStatus)
    stage = models.CharField(max_length=30)
    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    # The amount in the currency that the payment holds, entered by finance where `currency` is another one.
    converted_minor = models.BigIntegerField(null=True, blank=True)
    allocation = models.JSONField(default=dict)
    # In which currency `allocation` is posted; empty when nothing is.
    allocation_currency = models.CharField(max_length=3, blank=True, default="", db_default="")
    funds_location = models.CharField(max_length=10, choices=FundsLocation, default=FundsLocation.NOWHERE, blank=True)
    posting_batches = models.PositiveIntegerField(default=0)
    reason = models.CharField(max_length=300, blank=True)
    evidence_due_at = models.DateTimeField(null=True, blank=True)
    # When it is refreshed next: daily while it is open or young, immediately after a contradictory update.
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now())

    objects: ClassVar[DisputeQuerySet] = DisputeQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(status__in=DisputeStatus.values), name="dispute_status_known"),
            models.CheckConstraint(condition=Q(amount_minor__gte=0), name="dispute_amount_not_negative"),
            models.CheckConstraint(
                condition=Q(converted_minor__isnull=True) | Q(converted_minor__gt=0), name="dispute_conversion_positive"
            ),
        ]
        indexes = [
            models.Index(fields=["next_attempt_at"], condition=Q(next_attempt_at__isnull=False), name="dispute_due"),
            models.Index(fields=["correlation_id"], name="dispute_story"),
        ]

    @property
    def booked_currency(self) -> str:
        """The currency in which the dispute is booked: the payment's, once its amount in that one is known."""
        return self.currency if self.converted_minor is None else self.payment.held_currency

    @property
    def booked_minor(self) -> int:
        """The amount in `booked_currency`."""
        return self.amount_minor if self.converted_minor is None else self.converted_minor


DISPUTES_EXIST = reads.Read(
    lambda payment_id: Dispute.objects.filter(payment=payment_id).values_list("pk")[:1], UUID, is_kept=True
)
