"""Refunds, voids and bank refunds among them. Amounts are minor units of `currency`."""

from typing import ClassVar, Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from payments.models.foreign_receipts import is_unconverted
from payments.states import REFUND_MOVES, RefundStatus
from veza.core.ids import provider_id
from veza.core.models import LockableQuerySet, StatefulRow


class RefundQuerySet(LockableQuerySet["Refund"]):
    def in_doubt(self) -> Self:
        """Succeeded refunds in a currency that their payment never received, of unknown amount in the one it holds."""
        return self.filter(is_unconverted(), status=RefundStatus.SUCCEEDED)

    def contradicted(self) -> Self:
        """Refunds that a read contradicts, until a second read confirms or denies it."""
        return self.filter(contradicted_at__isnull=False)

    def of_unknown_amount(self) -> Self:
        """Those in doubt, and pending refunds that Hyperswitch has in another currency than their payment holds."""
        is_pending = Q(status=RefundStatus.PENDING)
        is_foreign = is_unconverted() | Q(error_code=Refund.OTHER_CURRENCY)
        return self.filter(is_unconverted() & Q(status=RefundStatus.SUCCEEDED) | is_pending & is_foreign)

    def counted_by_hyperswitch(self) -> Self:
        """Those that count towards the most refunds of a payment: all that Hyperswitch has or may have.

        A void is none, nor a bank refund. Nor is one that failed and was never stored there: it was not sent, did not
        arrive, or was refused by a check. An error of the connector (`CE_…`) comes after it was stored.
        """
        was_never_stored = Q(status=RefundStatus.FAILED, hyperswitch_refund_id__isnull=True)
        elsewhere = (Refund.Source.VOID, Refund.Source.BANK)
        return self.exclude(source__in=elsewhere).exclude(was_never_stored & ~Q(error_code__startswith="CE_"))

    def booked_in(self, held_currency: str) -> Self:
        """The refunds that are booked in the currency which their payment holds."""
        return self.filter(Q(currency=held_currency) | Q(converted_minor__isnull=False))


class Refund(StatefulRow):
    """Money that goes back to the buyer. `allocation` says whose money it is, fixed when the refund is booked.

    A void is one that Veza does not send and Hyperswitch has no id for: the payment was voided at the provider. Nor
    does Hyperswitch know a bank refund: finance paid it from our bank account, under `bank_reference`.
    """

    class Source(models.TextChoices):
        BUYER = "buyer"
        SELLER = "seller"
        SUPPORT = "support"
        LATE_PAYMENT = "late_payment"
        EXTERNAL = "external"
        VOID = "void", "voided at the provider"
        BANK = "bank", "paid from our bank account"

    # In `error_code`, while Hyperswitch reports a pending refund of ours in another currency than was requested.
    OTHER_CURRENCY = "other_currency"

    moves = REFUND_MOVES
    other_currencies = dict.fromkeys(("requested_minor", "converted_minor"), "payment.held_currency")

    payment = models.ForeignKey("payments.Payment", on_delete=models.PROTECT, related_name="refunds")
    correlation_id = models.UUIDField()
    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    # NULL unless Hyperswitch refunded another amount than was requested, in minor units of the received currency.
    requested_minor = models.BigIntegerField(null=True, blank=True)
    # The amount in the currency that the payment holds, entered by finance where `currency` is another one.
    converted_minor = models.BigIntegerField(null=True, blank=True)
    # {ledger account: minor units}: adds up to booked_minor, in booked_currency.
    allocation = models.JSONField()
    source = models.CharField(max_length=15, choices=Source)
    # It is of a part of its items: something is left of them, and their licences stay.
    by_amount = models.BooleanField(default=False, db_default=False)
    reason = models.CharField(max_length=500, blank=True)
    # The bank's reference of the transfer to the buyer; empty unless the refund was paid from our bank account.
    bank_reference = models.CharField(max_length=100, blank=True, default="", db_default="")
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    status = models.CharField(max_length=10, choices=RefundStatus, default=RefundStatus.PENDING)
    hyperswitch_refund_id = models.CharField(max_length=64, null=True, blank=True)
    posting_batches = models.PositiveSmallIntegerField(default=0)
    provider_updated_at = models.DateTimeField(null=True, blank=True)
    # When the refund was last read from Hyperswitch; NULL: not since a webhook was applied.
    last_read_at = models.DateTimeField(null=True, blank=True)
    # As of a payment: a report that lowers the amount or undoes a success, until a second read confirms it.
    contradicted_at = models.DateTimeField(null=True, blank=True)
    contradicted_by = models.CharField(max_length=100, blank=True, default="", db_default="")
    first_sent_at = models.DateTimeField(null=True, blank=True)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    # Set for an automatic refund: the worker sends it from this time on.
    send_after = models.DateTimeField(null=True, blank=True)
    error_code = models.CharField(max_length=100, blank=True)
    error_message = models.CharField(max_length=500, blank=True)
    succeeded_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now())

    objects: ClassVar[RefundQuerySet] = RefundQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        db_table = "refunds"
        permissions = [("refund_for_buyer", "May refund an order for its buyer")]
        constraints = [
            models.CheckConstraint(condition=Q(status__in=RefundStatus.values), name="refund_status_known"),
            models.CheckConstraint(condition=Q(amount_minor__gt=0), name="refund_amount_positive"),
            models.CheckConstraint(
                condition=Q(converted_minor__isnull=True) | Q(converted_minor__gt=0), name="refund_conversion_positive"
            ),
            models.UniqueConstraint(
                fields=["hyperswitch_refund_id"],
                condition=Q(hyperswitch_refund_id__isnull=False) & ~Q(hyperswitch_refund_id=""),
                name="one_refund_per_provider_id",
            ),
            models.UniqueConstraint(
                fields=["payment"],
                condition=Q(status="pending", source="late_payment"),
                name="one_return_in_flight_per_payment",
            ),
            models.UniqueConstraint(
                fields=["payment", "bank_reference"],
                condition=~Q(bank_reference=""),
                name="a_bank_transfer_refunds_a_payment_once",
            ),
            models.CheckConstraint(
                condition=Q(source="bank") & ~Q(bank_reference="") | ~Q(source="bank") & Q(bank_reference=""),
                name="a_bank_refund_has_a_reference",
            ),
        ]
        indexes = [
            models.Index(fields=["next_attempt_at"], condition=Q(next_attempt_at__isnull=False), name="refund_due"),
            models.Index(fields=["correlation_id"], name="refund_story"),
            models.Index(fields=["created_at"], condition=Q(status="pending"), name="refund_unsettled"),
        ]

    @property
    def provider_key(self) -> str:
        """Hyperswitch's id of the refund: ours, unless it is external."""
        return self.hyperswitch_refund_id or provider_id("ref", self.pk)

    def is_in_doubt(self) -> bool:
        """Whether the refund is one of those `in_doubt()`, by the row in hand and its payment."""
        if self.status != RefundStatus.SUCCEEDED or self.converted_minor is not None:
            return False
        return self.payment.received_currency != "" and not self.payment.has_received(self.currency)

    @property
    def booked_currency(self) -> str:
        """The currency in which the refund is booked: the payment's, once its amount in that one is known."""
        return self.currency if self.converted_minor is None else self.payment.held_currency

    @property
    def booked_minor(self) -> int:
        """The amount in `booked_currency`."""
        return self.amount_minor if self.converted_minor is None else self.converted_minor
