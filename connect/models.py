"""Sellers' accounts at Stripe, money sent to them and taken back. Amounts are minor units of `currency`."""

from typing import ClassVar, Self
from uuid import UUID

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from connect.states import (
    PAYOUT_MOVES,
    REVERSAL_MOVES,
    TRANSFER_MOVES,
    TRANSFER_UNSENT,
    PayoutStatus,
    ReversalStatus,
    TransferStatus,
)
from marketplace.models import Order
from veza.core.models import KeyedRow, LockableQuerySet, StatefulRow
from veza.core.money import format_amount


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
    # What Stripe still asks of the seller, in its own words.
    currently_due = models.JSONField(default=list, blank=True)
    # Grows when Stripe refuses to make the account: it repeats a stored refusal for a day under the same key.
    key_epoch = models.PositiveIntegerField(default=0)
    # When Stripe said the above, by its own clock: what it said earlier arrives too late.
    described_at = models.DateTimeField(null=True, blank=True)
    # Stripe says that something happened to it: it is read.
    refresh_due_at = models.DateTimeField(null=True, blank=True)
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
        indexes = [
            models.Index(fields=["refresh_due_at"], condition=Q(refresh_due_at__isnull=False), name="account_look_due"),
        ]

    @property
    def correlation_id(self) -> UUID:
        """Its story is the seller's."""
        return self.seller_id

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

    def owed(self) -> Self:
        """What Stripe could not take back from its seller because their balance was too low: tried again."""
        return self.filter(status=TransferStatus.REVERSAL_PENDING, waiting_for=WaitingFor.DEBT)

    def owed_and_given_up(self) -> Self:
        """What could not be taken back and is not tried again: a person has to look at it."""
        sent = self.filter(status=TransferStatus.PERMANENTLY_FAILED, stripe_transfer_id__isnull=False)
        return sent.filter(reversal_target_minor__gt=F("reversed_minor"))

    def owed_by(self, seller_id: UUID, currency: str) -> Self:
        """Both of one seller, the oldest first."""
        return (self.owed() | self.owed_and_given_up()).filter(seller=seller_id, currency=currency).order_by("pk")

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

    `reversal_target_minor` is what Stripe should have taken back in the end, `reversed_minor` what it has. While
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
    # Of the target: taken back in Stripe's dashboard though nobody here wanted it. The seller is not paid it again.
    external_reversed_minor = models.BigIntegerField(default=0)
    # What was given back otherwise than through Stripe: by sending the seller less of later transfers, or by us.
    covered_minor = models.BigIntegerField(default=0)
    # Of it: what nobody will give back, taken as our loss.
    written_off_minor = models.BigIntegerField(default=0, db_default=0)
    # Of the set-off: undone again, because the order it was earned with was refunded.
    undone_minor = models.BigIntegerField(default=0)
    # Part of every key we give Stripe, which repeats a stored refusal for a day: it grows after a definite
    # refusal that may not be repeated, and never while an outcome is unknown.
    key_epoch = models.PositiveIntegerField(default=0)
    in_doubt_since = models.DateTimeField(null=True, blank=True)
    # Counts the sendings, so that a slow worker knows whether another one was sent after it.
    sendings = models.PositiveIntegerField(default=0)
    waiting_for = models.CharField(max_length=20, choices=WaitingFor, default=WaitingFor.NOTHING, blank=True)
    retry_count = models.PositiveSmallIntegerField(default=0)
    next_retry_at = models.DateTimeField(null=True, blank=True)
    # Stripe says that something happened to it: it is read, and what is new is booked.
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
                    set_off_minor__gte=0,
                    reversed_minor__gte=0,
                    reversed_minor__lte=F("reversal_target_minor"),
                    reversal_target_minor__lte=F("amount_minor") - F("set_off_minor"),
                ),
                name="transfer_reversed_within_target_within_sent",
            ),
            models.CheckConstraint(
                condition=Q(
                    external_reversed_minor__gte=0,
                    external_reversed_minor__lte=F("reversal_target_minor"),
                    undone_minor__gte=0,
                    undone_minor__lte=F("set_off_minor"),
                    covered_minor__gte=0,
                    covered_minor__lte=F("amount_minor")
                    - F("set_off_minor")
                    - F("reversal_target_minor")
                    + F("external_reversed_minor"),
                ),
                name="transfer_given_back_once",
            ),
            models.CheckConstraint(
                condition=Q(written_off_minor__gte=0, written_off_minor__lte=F("covered_minor")),
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
                fields=["refresh_due_at"], condition=Q(refresh_due_at__isnull=False), name="transfer_look_due"
            ),
        ]

    @property
    def correlation_id(self) -> UUID:
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
    def reversible_minor(self) -> int:
        """What could still be asked back of what was sent."""
        return max(0, self.sent_minor - self.reversal_target_minor - self.covered_minor)

    @property
    def kept_back_minor(self) -> int:
        """What was set off against a debt and still is."""
        return self.set_off_minor - self.undone_minor

    @property
    def reissuable_minor(self) -> int:
        """What somebody took back in Stripe's dashboard unasked, as far as it did not pay a debt a second time."""
        kept = self.sent_minor - self.reversal_target_minor + self.external_reversed_minor
        return min(self.external_reversed_minor, kept - self.covered_minor)

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
        return format_amount(self.sent_minor, self.currency)

    def owed(self) -> str:
        """What is still to be taken back, as a person writes it."""
        return format_amount(self.owed_minor, self.currency)


class TransferReversal(StatefulRow):
    """The intent to take a transfer from `from_minor` reversed to `to_minor`, committed before the call."""

    moves = REVERSAL_MOVES

    transfer = models.ForeignKey(SellerTransfer, on_delete=models.PROTECT, related_name="reversals")
    correlation_id = models.UUIDField()
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
        indexes = [models.Index(fields=["correlation_id"], name="reversal_story")]

    @property
    def amount_minor(self) -> int:
        return self.to_minor - self.from_minor

    def amount(self) -> str:
        return format_amount(self.amount_minor, self.currency)


class SetOff(KeyedRow):
    """Part of a transfer that was not sent, because the seller owed it for another order.

    `transfer` was sent `amount_minor` less, and that much less of `debt` is taken back. What is undone is owed
    again.
    """

    transfer = models.ForeignKey(SellerTransfer, on_delete=models.PROTECT, related_name="set_offs")
    debt = models.ForeignKey(SellerTransfer, on_delete=models.PROTECT, related_name="paid_by")
    amount_minor = models.BigIntegerField()
    undone_minor = models.BigIntegerField(default=0)
    currency = models.CharField(max_length=3)
    created_at = models.DateTimeField(db_default=Now())

    objects: ClassVar[LockableQuerySet["SetOff"]] = LockableQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        db_table = "seller_set_offs"
        constraints = [
            models.CheckConstraint(condition=Q(amount_minor__gt=0), name="set_off_takes_something"),
            models.CheckConstraint(
                condition=Q(undone_minor__gte=0, undone_minor__lte=F("amount_minor")), name="set_off_undone_within_it"
            ),
            models.CheckConstraint(condition=~Q(transfer=F("debt")), name="set_off_between_two_transfers"),
        ]

    @property
    def standing_minor(self) -> int:
        """What of it has not been undone."""
        return self.amount_minor - self.undone_minor

    def amount(self) -> str:
        return format_amount(self.amount_minor, self.currency)


class SellerPayout(StatefulRow):
    """Money from a seller's account at Stripe to their bank, asked for by the seller.

    Until `external_payout_id` is there a request may have reached Stripe or not, as `first_sent_at` tells; it is
    sent again under the same key. Its story is the seller's.
    """

    moves = PAYOUT_MOVES

    seller = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="payouts")
    stripe_account_id = models.CharField(max_length=64)
    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    status = models.CharField(max_length=12, choices=PayoutStatus, default=PayoutStatus.PENDING)
    external_payout_id = models.CharField(max_length=64, null=True, blank=True)
    first_sent_at = models.DateTimeField(null=True, blank=True)
    # Whether a request may be at Stripe without an answer.
    in_doubt = models.BooleanField(default=False)
    # When Stripe is asked next: again after no answer, now and then while the bank has it.
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    failure_code = models.CharField(max_length=100, blank=True)
    failure_message = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(db_default=Now())

    objects: ClassVar[LockableQuerySet["SellerPayout"]] = LockableQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        db_table = "seller_payouts"
        constraints = [
            models.CheckConstraint(condition=Q(status__in=PayoutStatus.values), name="payout_status_known"),
            models.CheckConstraint(condition=Q(amount_minor__gt=0), name="payout_amount_positive"),
            models.CheckConstraint(condition=Q(currency__regex="^[A-Z]{3}$"), name="payout_currency_code"),
            models.UniqueConstraint(
                fields=["external_payout_id"],
                condition=Q(external_payout_id__isnull=False) & ~Q(external_payout_id=""),
                name="one_payout_per_stripe_id",
            ),
        ]
        indexes = [
            models.Index(fields=["next_attempt_at"], condition=Q(next_attempt_at__isnull=False), name="payout_due"),
            models.Index(fields=["seller", "-created_at", "-id"], name="payout_seller_newest_first"),
        ]

    @property
    def correlation_id(self) -> UUID:
        return self.seller_id

    @property
    def key(self) -> str:
        return f"{self.pk}:payout"

    def amount(self) -> str:
        return format_amount(self.amount_minor, self.currency)
