"""A seller's transfer, and the named sets of transfers that the workers and the back-office use."""

from typing import Self
from uuid import UUID

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from connect.states import TRANSFER_MOVES, TRANSFER_UNSENT, TransferStatus
from marketplace.models import Order
from veza.core import reads
from veza.core.models import LockableQuerySet, StatefulRow
from veza.core.money import format_amount


class WaitingFor(models.TextChoices):
    """What has to change at a provider, the bank, the seller or with our staff before a transfer can proceed."""

    NOTHING = "", "nothing"
    ACCOUNT = "account"
    PLATFORM_BALANCE = "platform_balance"
    DISPUTE = "dispute"
    PAYMENT = "payment"
    DEBT = "debt"
    RELEASE = "release"


class SellerTransferQuerySet(LockableQuerySet["SellerTransfer"]):
    def unsent(self) -> Self:
        """Transfers that Stripe has not confirmed and that the worker still sends."""
        return self.filter(status__in=TRANSFER_UNSENT, next_retry_at__isnull=False)

    def to_reverse(self) -> Self:
        """Transfers that the worker still reverses, in part or in full."""
        return self.filter(status=TransferStatus.REVERSAL_PENDING)

    def debts(self) -> Self:
        """Transfers Stripe could not reverse because the seller's balance was too low: the worker retries them."""
        return self.filter(status=TransferStatus.REVERSAL_PENDING, waiting_for=WaitingFor.DEBT)

    def failed_debts(self) -> Self:
        """Transfers that could not be reversed and are not retried: support has to review them."""
        failures = self.filter(status=TransferStatus.PERMANENTLY_FAILED, stripe_transfer_id__isnull=False)
        return failures.filter(reversal_target_minor__gt=F("reversed_minor"))

    def debts_of(self, seller_id: UUID, currency: str) -> Self:
        """Both kinds of debt of one seller, the oldest first."""
        return (self.debts() | self.failed_debts()).filter(seller=seller_id, currency=currency).order_by("pk")

    def due(self) -> Self:
        """Rows whose time has come, by the database's clock."""
        return self.filter(next_retry_at__lte=Now()).order_by("next_retry_at")


class SellerTransfer(StatefulRow):
    """One seller's money from one order, and how much of it has to be reversed.

    `reversal_target_minor` is what has to be reversed in the end, `reversed_minor` what Stripe has reversed. While
    `in_doubt_since` is set, Stripe may have received a request without an answer: amount, destination and key are
    frozen.
    """

    moves = TRANSFER_MOVES

    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="transfers", db_index=False)
    seller = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="transfers", db_index=False
    )
    seq = models.PositiveSmallIntegerField(default=1)
    amount_minor = models.BigIntegerField()
    # Offset against what the seller owes us: lowers what is sent.
    withheld_minor = models.BigIntegerField(default=0)
    currency = models.CharField(max_length=3)
    status = models.CharField(max_length=20, choices=TransferStatus, default=TransferStatus.PENDING)
    destination = models.CharField(max_length=64, blank=True)
    # Both are NULL until Stripe has assigned one, and unique from then on.
    stripe_transfer_id = models.CharField(max_length=64, null=True, blank=True)
    # Of the last reversal; each has a row of its own.
    stripe_reversal_id = models.CharField(max_length=64, null=True, blank=True)
    reversal_target_minor = models.BigIntegerField(default=0)
    reversed_minor = models.BigIntegerField(default=0)
    # Of the target: reversed in Stripe's dashboard though no refund or dispute asked for it. Veza does not repay it.
    external_reversed_minor = models.BigIntegerField(default=0)
    # Recovered without a reversal: withheld from later transfers, or written off.
    offset_minor = models.BigIntegerField(default=0)
    # Of that: written off as our loss.
    written_off_minor = models.BigIntegerField(default=0, db_default=0)
    # Of what was withheld: owed again, because the order it was earned with was refunded.
    unwound_minor = models.BigIntegerField(default=0)
    # Part of every idempotency key. Stripe repeats a stored refusal for a day, so it grows after a definite refusal
    # that is worth a retry, and never while an outcome is unknown.
    key_epoch = models.PositiveIntegerField(default=0)
    in_doubt_since = models.DateTimeField(null=True, blank=True)
    # Counts the attempts, so that a slow worker knows whether another one has attempted it since.
    send_attempts = models.PositiveIntegerField(default=0)
    waiting_for = models.CharField(max_length=20, choices=WaitingFor, default=WaitingFor.NOTHING, blank=True)
    retry_count = models.PositiveSmallIntegerField(default=0)
    next_retry_at = models.DateTimeField(null=True, blank=True)
    # Set when Stripe reports a change: the worker then reads the transfer and imports external reversals.
    refresh_due_at = models.DateTimeField(null=True, blank=True)
    last_error = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    completed_at = models.DateTimeField(null=True, blank=True)

    objects = SellerTransferQuerySet.as_manager()

    class Meta:
        db_table = "seller_transfers"
        constraints = [
            models.CheckConstraint(condition=Q(status__in=TransferStatus.values), name="transfer_status_known"),
            models.CheckConstraint(condition=Q(amount_minor__gt=0), name="transfer_amount_positive"),
            models.CheckConstraint(condition=Q(currency__regex="^[A-Z]{3}$"), name="transfer_currency_code"),
            models.CheckConstraint(condition=Q(waiting_for__in=WaitingFor.values), name="transfer_waiting_for_known"),
            models.CheckConstraint(
                condition=Q(
                    withheld_minor__gte=0,
                    reversed_minor__gte=0,
                    reversed_minor__lte=F("reversal_target_minor"),
                    reversal_target_minor__lte=F("amount_minor") - F("withheld_minor"),
                ),
                name="transfer_reversed_within_target_within_sent",
            ),
            models.CheckConstraint(
                condition=Q(
                    external_reversed_minor__gte=0,
                    external_reversed_minor__lte=F("reversal_target_minor"),
                    unwound_minor__gte=0,
                    unwound_minor__lte=F("withheld_minor"),
                    offset_minor__gte=0,
                    offset_minor__lte=F("amount_minor")
                    - F("withheld_minor")
                    - F("reversal_target_minor")
                    + F("external_reversed_minor"),
                ),
                name="transfer_given_back_once",
            ),
            models.CheckConstraint(
                condition=Q(written_off_minor__gte=0, written_off_minor__lte=F("offset_minor")),
                name="transfer_written_off_within_covered",
            ),
            models.CheckConstraint(
                condition=~Q(status="reversal_pending") | Q(next_retry_at__isnull=False),
                name="transfer_to_reverse_is_due_some_time",
            ),
            models.CheckConstraint(
                condition=~Q(status="cancelled") | Q(in_doubt_since__isnull=True),
                name="transfer_in_doubt_is_not_cancelled",
            ),
            models.UniqueConstraint(fields=["order", "seller", "seq"], name="one_transfer_per_order_seller_seq"),
            models.UniqueConstraint(
                fields=["stripe_transfer_id"],
                condition=Q(stripe_transfer_id__isnull=False) & ~Q(stripe_transfer_id=""),
                name="one_transfer_per_stripe_id",
            ),
            models.UniqueConstraint(
                fields=["stripe_reversal_id"],
                condition=Q(stripe_reversal_id__isnull=False) & ~Q(stripe_reversal_id=""),
                name="one_transfer_per_stripe_reversal_id",
            ),
        ]
        indexes = [
            models.Index(
                fields=["next_retry_at"],
                condition=Q(status__in=["pending", "failed"], next_retry_at__isnull=False),
                name="transfer_due",
            ),
            models.Index(
                fields=["next_retry_at"], condition=Q(status="reversal_pending"), name="transfer_reversal_due"
            ),
            models.Index(fields=["seller", "-created_at", "-id"], name="transfer_seller_newest_first"),
            models.Index(
                fields=["seller"],
                condition=Q(status__in=["reversal_pending", "permanently_failed"]),
                name="transfer_owed",
            ),
            models.Index(
                fields=["refresh_due_at"], condition=Q(refresh_due_at__isnull=False), name="transfer_refresh_due"
            ),
        ]

    @property
    def correlation_id(self) -> UUID:
        return self.order_id

    @property
    def sent_minor(self) -> int:
        """The amount Stripe is asked to send: the seller's share less what is withheld."""
        return self.amount_minor - self.withheld_minor

    @property
    def outstanding_minor(self) -> int:
        """Still to be reversed."""
        return self.reversal_target_minor - self.reversed_minor

    @property
    def reversible_minor(self) -> int:
        """How much further the target can rise."""
        return max(0, self.sent_minor - self.reversal_target_minor - self.offset_minor)

    @property
    def net_withheld_minor(self) -> int:
        """Withheld against a debt, less what was unwound."""
        return self.withheld_minor - self.unwound_minor

    @property
    def reissuable_minor(self) -> int:
        """Reversed in Stripe's dashboard without a refund or dispute, less what paid a debt a second time."""
        remaining = self.sent_minor - self.reversal_target_minor + self.external_reversed_minor
        return min(self.external_reversed_minor, remaining - self.offset_minor)

    @property
    def paid_twice_minor(self) -> int:
        """Reversed in Stripe's dashboard though later transfers had paid the same debt: the seller is owed it."""
        return self.external_reversed_minor - max(0, self.reissuable_minor)

    @property
    def key(self) -> str:
        """The idempotency key of sending it: the same until Stripe has refused it."""
        return f"{self.pk}:transfer:{self.key_epoch}"

    def may_be_at_stripe(self) -> bool:
        """Whether money may have moved: then only a reversal brings it back, and nothing may be cancelled."""
        is_acknowledged = bool(self.stripe_transfer_id) or self.completed_at is not None
        return is_acknowledged or self.in_doubt_since is not None

    def assert_amounts_add_up(self) -> None:
        """The rules that the database's constraints hold too, by name: called after every change of an amount."""
        assert self.amount_minor > 0, "a transfer is of more than nothing"
        assert 0 <= self.unwound_minor <= self.withheld_minor <= self.amount_minor, "never more withheld than earned"
        assert 0 <= self.reversed_minor <= self.reversal_target_minor, "never more reversed than the target"
        assert self.reversal_target_minor <= self.sent_minor, "the target lies within what was sent"
        assert 0 <= self.external_reversed_minor <= self.reversal_target_minor, "an external reversal is in the target"
        recoverable = self.sent_minor - self.reversal_target_minor + self.external_reversed_minor
        assert 0 <= self.written_off_minor <= self.offset_minor <= recoverable, "no cent is recovered twice"

    def amount(self) -> str:
        """The amount sent with its currency, for people."""
        return format_amount(self.sent_minor, self.currency)

    def outstanding(self) -> str:
        """The amount still to be reversed with its currency, for people."""
        return format_amount(self.outstanding_minor, self.currency)


LOCKED_TRANSFER = reads.Read(lambda key: SellerTransfer.objects.locked().filter(pk=key), UUID, is_kept=True)
