"""Sellers' accounts at Stripe, money sent to them and taken back. Amounts are minor units of `currency`."""

from typing import ClassVar, Self
from uuid import UUID

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from connect.states import REVERSAL_MOVES, TRANSFER_MOVES, TRANSFER_UNSENT, ReversalStatus, TransferStatus
from marketplace.models import Order
from veza.core.models import KeyedRow, LockableQuerySet, StatefulRow
from veza.core.money import written


class ConnectedAccount(KeyedRow):
    """A seller's account at Stripe, as Stripe last described it to us."""

    seller = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="connected_account")
    # NULL until Stripe has acknowledged it.
    stripe_account_id = models.CharField(max_length=64, null=True, blank=True, unique=True)
    # The only flag that decides whether a transfer is accepted.
    transfers_active = models.BooleanField(default=False)
    payouts_enabled = models.BooleanField(default=False)
    details_submitted = models.BooleanField(default=False)
    country = models.CharField(max_length=2, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())

    objects: ClassVar[LockableQuerySet["ConnectedAccount"]] = LockableQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(stripe_account_id__isnull=True) | ~Q(stripe_account_id=""),
                name="connected_account_id_not_empty",
            ),
        ]

    def can_receive(self) -> bool:
        """Whether Stripe accepts a transfer to this account."""
        return self.stripe_account_id is not None and self.transfers_active


class SellerTransferQuerySet(LockableQuerySet["SellerTransfer"]):
    def unsent(self) -> Self:
        """Transfers that Stripe has not confirmed and that the worker still sends."""
        return self.filter(status__in=TRANSFER_UNSENT, next_retry_at__isnull=False)

    def to_reverse(self) -> Self:
        """Transfers of which Stripe should take something back."""
        return self.filter(status=TransferStatus.REVERSAL_PENDING)

    def due(self) -> Self:
        """Rows whose time has come, by the database's clock."""
        return self.filter(next_retry_at__lte=Now()).order_by("next_retry_at")


class WaitingFor(models.TextChoices):
    """What has to change outside before a transfer can go on."""

    NOTHING = "", "nothing"
    ACCOUNT = "account"
    PLATFORM_BALANCE = "platform_balance"
    DISPUTE = "dispute"
    DEBT = "debt"


class SellerTransfer(StatefulRow):
    """One sending of an order's money to one seller, and how much of it is to be taken back again.

    `reversal_target_minor` is what should be back in the end, `reversed_minor` what is. While
    `in_doubt_since` is set, a request may have reached Stripe and nothing definite came back: amount,
    destination and key are frozen.
    """

    moves = TRANSFER_MOVES

    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="transfers")
    seller = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="transfers")
    seq = models.PositiveSmallIntegerField(default=1)
    amount_minor = models.BigIntegerField()
    # Kept back against what the seller owes us: lowers what is sent.
    set_off_minor = models.BigIntegerField(default=0)
    currency = models.CharField(max_length=3)
    status = models.CharField(max_length=20, choices=TransferStatus, default=TransferStatus.PENDING)
    destination = models.CharField(max_length=64, blank=True)
    # Both are NULL until Stripe has given one: unique where there is one.
    stripe_transfer_id = models.CharField(max_length=64, null=True, blank=True)
    # Of the last reversal; each has a row of its own.
    stripe_reversal_id = models.CharField(max_length=64, null=True, blank=True)
    reversal_target_minor = models.BigIntegerField(default=0)
    reversed_minor = models.BigIntegerField(default=0)
    # Part of every key we give Stripe, which repeats a stored refusal for a day: it grows after a definite
    # refusal that may not be repeated, and never while an outcome is unknown.
    key_epoch = models.PositiveIntegerField(default=0)
    in_doubt_since = models.DateTimeField(null=True, blank=True)
    # Counts the sendings, so that a slow worker knows whether another one was sent after it.
    sendings = models.PositiveIntegerField(default=0)
    waiting_for = models.CharField(max_length=20, choices=WaitingFor, default=WaitingFor.NOTHING, blank=True)
    retry_count = models.PositiveSmallIntegerField(default=0)
    next_retry_at = models.DateTimeField(null=True, blank=True)
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
                    set_off_minor__gte=0,
                    reversed_minor__gte=0,
                    reversed_minor__lte=F("reversal_target_minor"),
                    reversal_target_minor__lte=F("amount_minor") - F("set_off_minor"),
                ),
                name="transfer_reversed_within_target_within_sent",
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
        ]

    @property
    def story_id(self) -> UUID:
        return self.order_id

    @property
    def sent_minor(self) -> int:
        """What goes to Stripe: the amount less what was set off against a debt."""
        return self.amount_minor - self.set_off_minor

    @property
    def owed_minor(self) -> int:
        """What is still to be taken back."""
        return self.reversal_target_minor - self.reversed_minor

    @property
    def key(self) -> str:
        """The idempotency key of the sending: the same until Stripe has said no to it."""
        return f"{self.pk}:transfer:{self.key_epoch}"

    def may_be_at_stripe(self) -> bool:
        """Whether money may have moved: then only Stripe can take it back, and nothing may be cancelled."""
        known = bool(self.stripe_transfer_id) or self.completed_at is not None
        return known or self.in_doubt_since is not None

    def amount(self) -> str:
        """The amount sent, as a person writes it."""
        return written(self.sent_minor, self.currency)

    def owed(self) -> str:
        """What is still to be taken back, as a person writes it."""
        return written(self.owed_minor, self.currency)


class TransferReversal(StatefulRow):
    """The intent to take a transfer from `from_minor` reversed to `to_minor`, committed before the call."""

    moves = REVERSAL_MOVES

    transfer = models.ForeignKey(SellerTransfer, on_delete=models.PROTECT, related_name="reversals")
    story_id = models.UUIDField()
    from_minor = models.BigIntegerField()
    to_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    key = models.CharField(max_length=120, unique=True)
    status = models.CharField(max_length=10, choices=ReversalStatus, default=ReversalStatus.SENDING)
    stripe_reversal_id = models.CharField(max_length=64, null=True, blank=True, unique=True)
    error_code = models.CharField(max_length=100, blank=True)
    error_message = models.CharField(max_length=500, blank=True)
    first_sent_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now())

    objects: ClassVar[LockableQuerySet["TransferReversal"]] = LockableQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        db_table = "seller_transfer_reversals"
        constraints = [
            models.CheckConstraint(condition=Q(status__in=ReversalStatus.values), name="reversal_status_known"),
            models.CheckConstraint(
                condition=Q(from_minor__gte=0, to_minor__gt=F("from_minor")), name="reversal_takes_something"
            ),
            models.CheckConstraint(
                condition=~Q(status="made") | Q(stripe_reversal_id__isnull=False), name="reversal_made_has_id"
            ),
            models.UniqueConstraint(
                fields=["transfer"],
                condition=Q(status="sending"),
                name="one_reversal_under_way_per_transfer",
            ),
        ]
        indexes = [models.Index(fields=["story_id"], name="reversal_story")]

    @property
    def amount_minor(self) -> int:
        return self.to_minor - self.from_minor

    def amount(self) -> str:
        return written(self.amount_minor, self.currency)
