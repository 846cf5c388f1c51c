"""Payments, and the mandates under which they are charged. Amounts are minor units of `currency`."""

from datetime import datetime, timedelta
from typing import Self
from uuid import UUID

from django.conf import settings
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Now

from payments.models.disputes import Dispute
from payments.models.foreign_receipts import BOOKED_MINOR
from payments.models.refunds import Refund
from payments.states import PAYMENT_MOVES, PAYMENT_OPEN, PaymentStatus, RefundStatus
from veza.core import reads
from veza.core.ids import provider_id
from veza.core.models import LockableQuerySet, StatefulRow

# A page that closes sooner is too short to send a buyer to.
SHORTEST_VISIT = timedelta(minutes=1)


def _has_amount_in_doubt() -> Q:
    """Of a payment: a refund or dispute is in another currency, and its amount in the payment's is not known.

    A pending refund counts: it takes an unknown part when it succeeds.
    """
    refunds = Refund.objects.of_unknown_amount().filter(payment=OuterRef("pk"))
    return Exists(Dispute.objects.in_doubt().filter(payment=OuterRef("pk"))) | Exists(refunds)


def _has_rest_in_doubt() -> Q:
    """Of a payment: it or a refund of it is contradicted and not confirmed yet, or an amount is in doubt."""
    refunds = Refund.objects.contradicted().filter(payment=OuterRef("pk"))
    return Q(contradicted_at__isnull=False) | Exists(refunds) | _has_amount_in_doubt()


class PaymentQuerySet(LockableQuerySet["Payment"]):
    def of(self, purpose: str, purpose_id: object) -> Self:
        """The payments of one order or invoice, oldest first."""
        return self.filter(purpose=purpose, purpose_id=purpose_id).order_by("pk")

    def applied(self) -> Self:
        """Payments whose money fulfilled their order or invoice: at most one of each."""
        return self.filter(applied_at__isnull=False)

    def in_doubt(self) -> Self:
        """Payments whose money may not be there, or of which it is not known how much is left: sellers are not paid.

        Mismatched after a success, or with the rest in doubt. Every cause of doubt belongs here.
        """
        is_mismatched = Q(status=PaymentStatus.MISMATCHED, succeeded_at__isnull=False)
        return self.filter(is_mismatched | _has_rest_in_doubt())

    def with_rest_in_doubt(self) -> Self:
        """Payments of which it is not known how much is left: they or a refund of theirs are contradicted and not
        confirmed yet, or an amount is in doubt.
        """
        return self.filter(_has_rest_in_doubt())

    def with_amount_in_doubt(self) -> Self:
        """Payments with a refund or dispute in another currency, of unknown amount in the one that they hold."""
        return self.filter(_has_amount_in_doubt())

    def in_doubt_of_loss(self) -> Self:
        """Those in doubt of which the buyer or the bank has something already: what they paid for gives no access."""
        disputes = Dispute.objects.in_doubt().filter(funds_location=Dispute.FundsLocation.BANK)
        return self.filter(
            Exists(disputes.filter(payment=OuterRef("pk")))
            | Exists(Refund.objects.in_doubt().filter(payment=OuterRef("pk")))
        )


class Payment(StatefulRow):
    """One attempt to collect the price of an order or invoice from its buyer, and its result."""

    class Purpose(models.TextChoices):
        ORDER = "order"
        INVOICE = "invoice"

    moves = PAYMENT_MOVES
    other_currencies = dict.fromkeys(("received_minor", "refunded_minor", "disputed_minor"), "held_currency")

    purpose = models.CharField(max_length=10, choices=Purpose)
    purpose_id = models.UUIDField()
    correlation_id = models.UUIDField()
    payer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="payments")
    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    description = models.CharField(max_length=200, blank=True)
    return_url = models.URLField(max_length=500)
    session_seconds = models.PositiveIntegerField()
    status = models.CharField(max_length=12, choices=PaymentStatus, default=PaymentStatus.CREATED)
    received_minor = models.BigIntegerField(default=0)
    refunded_minor = models.BigIntegerField(default=0)
    disputed_minor = models.BigIntegerField(default=0)
    # The currency of `received_minor`; empty until something is received. It may differ from that of the price.
    received_currency = models.CharField(max_length=3, blank=True, default="", db_default="")
    # NULL until Hyperswitch acknowledges the payment; `provider_key` is the value it will have.
    hyperswitch_payment_id = models.CharField(max_length=64, null=True, blank=True, unique=True)
    payment_url = models.URLField(max_length=500, blank=True)
    provider_updated_at = models.DateTimeField(null=True, blank=True)
    # When the state that was applied last was read; NULL: it was delivered by a webhook.
    last_read_at = models.DateTimeField(null=True, blank=True)
    # A report that takes something away and is not believed before a second read confirms it: when it was heard first,
    # and what a read said (empty: a webhook said it, and no read yet).
    contradicted_at = models.DateTimeField(null=True, blank=True)
    contradicted_by = models.CharField(max_length=100, blank=True, default="", db_default="")
    # Since when Hyperswitch reports a success without an amount.
    amount_missing_since = models.DateTimeField(null=True, blank=True)
    # NULL: never sent. A time without an acknowledgement: unanswered.
    first_sent_at = models.DateTimeField(null=True, blank=True)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    # When the worker closes the unpaid page next (NULL: never), and when it first tried to.
    close_due_at = models.DateTimeField(null=True, blank=True)
    closing_started_at = models.DateTimeField(null=True, blank=True)
    # A webhook waits for the payment to be received: one about a refund or dispute, or one without the amount.
    has_waiting_deliveries = models.BooleanField(default=False, db_default=False)
    error_code = models.CharField(max_length=100, blank=True)
    error_message = models.CharField(max_length=500, blank=True)
    # What the issuer, the network and Hyperswitch say about a decline: `reason:card_lost_or_stolen issuer:41`.
    decline_details = models.CharField(max_length=200, blank=True, default="", db_default="")
    # The last day on which the card that paid is valid; NULL: no card, or not reported.
    card_expires_on = models.DateField(null=True, blank=True)
    # `off_session` asks Hyperswitch to save the method, so that it can be charged again without the buyer.
    future_usage = models.CharField(max_length=12, blank=True, default="", db_default="")
    # A charge without the buyer: no page, the saved method is charged immediately.
    off_session = models.BooleanField(default=False, db_default=False)
    # Hyperswitch's id of the method that was charged or saved.
    payment_method_id = models.CharField(max_length=64, blank=True, default="", db_default="")
    # Hyperswitch's own word for the status, and its time of that update, also of those that move nothing of ours.
    provider_status = models.CharField(max_length=60, blank=True, default="", db_default="")
    provider_status_at = models.DateTimeField(null=True, blank=True)
    # Its Idempotency-Key is its own id. The first payment of an order or invoice has that one's id.
    has_own_key = models.BooleanField(default=False, db_default=False)
    succeeded_at = models.DateTimeField(null=True, blank=True)
    # When the order or invoice was fulfilled with its money. What any other payment of the same brings is returned.
    applied_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now())

    objects = PaymentQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(status__in=PaymentStatus.values), name="payment_status_known"),
            models.CheckConstraint(condition=Q(amount_minor__gt=0), name="payment_amount_positive"),
            models.CheckConstraint(condition=Q(currency__regex="^[A-Z]{3}$"), name="payment_currency_code"),
            models.CheckConstraint(
                condition=Q(received_minor__gte=0, refunded_minor__gte=0, disputed_minor__gte=0),
                name="payment_sums_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(hyperswitch_payment_id__isnull=True) | ~Q(hyperswitch_payment_id=""),
                name="payment_provider_id_not_empty",
            ),
            models.UniqueConstraint(
                fields=["purpose", "purpose_id"],
                condition=Q(status__in=PAYMENT_OPEN),
                name="one_payment_alive_per_purpose",
            ),
            models.UniqueConstraint(
                fields=["purpose", "purpose_id"],
                condition=Q(applied_at__isnull=False),
                name="one_payment_applied_per_purpose",
            ),
        ]
        indexes = [
            models.Index(fields=["purpose", "purpose_id"], name="payment_purpose"),
            models.Index(fields=["next_attempt_at"], condition=Q(next_attempt_at__isnull=False), name="payment_due"),
            models.Index(fields=["correlation_id"], name="payment_story"),
            models.Index(
                fields=["created_at"],
                condition=Q(status__in=["pending", "processing", "mismatched"]),
                name="payment_unsettled",
            ),
            models.Index(fields=["close_due_at"], condition=Q(close_due_at__isnull=False), name="payment_to_close"),
        ]

    @property
    def held_currency(self) -> str:
        """The currency of the money we hold; that of the price until something is received."""
        return self.received_currency or self.currency

    @property
    def provider_key(self) -> str:
        """The id that we give Hyperswitch: it exists before the call, so a crash cannot lose it."""
        return provider_id("pay", self.pk)

    @property
    def idempotency_key(self) -> str:
        """What makes a repeated request to create it harmless, should the provider look at the header."""
        return str(self.pk if self.has_own_key else self.purpose_id)

    @property
    def page_closes_at(self) -> datetime:
        """When the session of its page ends at Hyperswitch."""
        return (self.first_sent_at or self.created_at) + timedelta(seconds=self.session_seconds)

    def is_page_open(self, *, at: datetime) -> bool:
        """Whether its page stays open long enough for a buyer who is sent there at `at`: it is not due to be closed."""
        is_closing = self.closing_started_at is not None or (self.close_due_at is not None and self.close_due_at <= at)
        return not self.off_session and not is_closing and at < self.page_closes_at - SHORTEST_VISIT

    @property
    def customer_key(self) -> str:
        """The id under which Hyperswitch stores the payer's saved methods."""
        return f"cus_{self.payer_id.hex}"

    def is_in_doubt(self) -> bool:
        """Whether the payment is one of those `in_doubt()`, as stored."""
        if not self.received_minor and self.contradicted_at is None:
            return False
        return bool(_IN_DOUBT(self.pk))

    def refundable_minor(self) -> int:
        """What was received and is neither refunded, disputed, nor reserved by a pending refund."""
        return self.kept_minor() - self.disputed_minor

    def kept_minor(self) -> int:
        """What was received and is neither refunded nor promised to the buyer by a pending refund."""
        return self.received_minor - self.refunded_minor - self.pending_minor()

    def pending_minor(self) -> int:
        """What pending refunds are going to take, in minor units of the received currency."""
        if not self.received_minor:
            return 0
        pending = self.refunds.filter(status=RefundStatus.PENDING).booked_in(self.held_currency)
        return sum(pending.values_list(BOOKED_MINOR, flat=True))

    def has_pending_refund(self) -> bool:
        """Whether a refund of it, in any currency, is under way."""
        return self.refunds.filter(status=RefundStatus.PENDING).exists()

    def voided_minor(self, currency: str = "") -> int:
        """How much of what was received Hyperswitch does not hold any more; part of `refunded_minor`.

        In minor units of `currency`: that which the payment holds, or one of its foreign receipts.
        """
        if not self.refunded_minor and not currency:
            return 0
        voids = self.refunds.filter(source=Refund.Source.VOID, status=RefundStatus.SUCCEEDED)
        return sum(voids.filter(currency=currency or self.held_currency).values_list("amount_minor", flat=True))

    def has_received(self, currency: str) -> bool:
        """Whether anything was ever received in `currency`."""
        return currency == self.held_currency or self.foreign_receipts.filter(currency=currency).exists()

    def captured_funds(self) -> tuple[int, str]:
        """What Hyperswitch has captured and not voided, refunds not deducted, in minor units of the second value."""
        captured_minor = self.received_minor - self.voided_minor()
        if self.received_minor and not captured_minor:
            for receipt in self.foreign_receipts.all():
                if foreign_minor := receipt.received_minor - self.voided_minor(receipt.currency):
                    return foreign_minor, receipt.currency
        return captured_minor, self.held_currency


# Whether a payment is in doubt is asked at every step of money, by queries that take longer to write than to run.
_IN_DOUBT = reads.Read(lambda key: Payment.objects.in_doubt().filter(pk=key).values_list("pk"), UUID)
REST_IN_DOUBT = reads.Read(lambda key: Payment.objects.with_rest_in_doubt().filter(pk=key).values_list("pk"), UUID)
LOCKED_PAYMENT = reads.Read(lambda key: Payment.objects.locked().filter(pk=key), UUID, is_kept=True)
