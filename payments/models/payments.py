"""Payments, refunds and disputes. Amounts are minor units of `currency`."""

from datetime import datetime, timedelta
from typing import ClassVar, Self
from uuid import UUID

from django.conf import settings
from django.db import models
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Coalesce, Now

from payments.states import (
    DISPUTE_MOVES,
    PAYMENT_MOVES,
    PAYMENT_OPEN,
    REFUND_MOVES,
    DisputeStatus,
    PaymentStatus,
    RefundStatus,
)
from veza.core import reads
from veza.core.ids import provider_id
from veza.core.models import KeyedRow, LockableQuerySet, StatefulRow

# A page that closes sooner is too short to send a buyer to.
SHORTEST_VISIT = timedelta(minutes=1)


def _is_unconverted() -> Q:
    """Of a refund or dispute: it is in a currency that its payment never received, and finance has not entered the
    amount in the one that the payment holds.
    """
    receipts = ForeignReceipt.objects.filter(payment=OuterRef("payment"), currency=OuterRef("currency"))
    is_of_no_receipt = ~Q(payment__received_currency__in=["", F("currency")]) & ~Exists(receipts)
    return is_of_no_receipt & Q(converted_minor__isnull=True)


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
                fields=["created_at"], condition=Q(status__in=["pending", "processing"]), name="payment_unsettled"
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
        """Whether its page stays open long enough for a buyer who is sent there at `at`."""
        return not self.off_session and at < self.page_closes_at - SHORTEST_VISIT

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


class ForeignReceipt(KeyedRow):
    """What a payment received in another currency than first, after Hyperswitch did not hold the first any more.

    As of the payment itself, `received_minor` never falls: what Hyperswitch does not hold any more is a void.
    """

    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="foreign_receipts")
    currency = models.CharField(max_length=3)
    received_minor = models.BigIntegerField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(received_minor__gt=0), name="foreign_receipt_amount_positive"),
            models.CheckConstraint(condition=Q(currency__regex="^[A-Z]{3}$"), name="foreign_receipt_currency_code"),
            models.UniqueConstraint(fields=["payment", "currency"], name="one_foreign_receipt_per_currency"),
        ]


# Whether a payment is in doubt is asked at every step of money, by queries that take longer to write than to run.
_IN_DOUBT = reads.Read(lambda key: Payment.objects.in_doubt().filter(pk=key).values_list("pk"), UUID)
REST_IN_DOUBT = reads.Read(lambda key: Payment.objects.with_rest_in_doubt().filter(pk=key).values_list("pk"), UUID)
LOCKED_PAYMENT = reads.Read(lambda key: Payment.objects.locked().filter(pk=key), UUID, is_kept=True)
# Of a refund or dispute: its amount in the currency in which it is booked.
BOOKED_MINOR = Coalesce("converted_minor", "amount_minor")


DISPUTES_EXIST = reads.Read(
    lambda payment_id: Dispute.objects.filter(payment=payment_id).values_list("pk")[:1], UUID, is_kept=True
)


class RefundQuerySet(LockableQuerySet["Refund"]):
    def in_doubt(self) -> Self:
        """Succeeded refunds in a currency that their payment never received, of unknown amount in the one it holds."""
        return self.filter(_is_unconverted(), status=RefundStatus.SUCCEEDED)

    def contradicted(self) -> Self:
        """Refunds that a read contradicts, until a second read confirms or denies it."""
        return self.filter(contradicted_at__isnull=False)

    def of_unknown_amount(self) -> Self:
        """Those in doubt, and pending refunds that Hyperswitch has in another currency than their payment holds."""
        is_pending = Q(status=RefundStatus.PENDING)
        is_foreign = _is_unconverted() | Q(error_code=Refund.OTHER_CURRENCY)
        return self.filter(_is_unconverted() & Q(status=RefundStatus.SUCCEEDED) | is_pending & is_foreign)

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


class DisputeQuerySet(LockableQuerySet["Dispute"]):
    def in_doubt(self) -> Self:
        """Disputes that take a currency that their payment never received, of unknown amount in the one it holds."""
        return self.filter(_is_unconverted()).exclude(funds_location=Dispute.FundsLocation.NOWHERE)


class RevokedMandate(KeyedRow):
    """A payer's consent that has ended: its saved method is not charged, unless a later payment saves it again."""

    mandate_id = models.CharField(max_length=64, unique=True)
    payment_method_id = models.CharField(max_length=64, db_index=True)
    revoked_at = models.DateTimeField(db_default=Now())


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

    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="refunds")
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
    other_currencies: ClassVar = {"converted_minor": "payment.held_currency"}

    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="disputes")
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
