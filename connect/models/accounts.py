"""A seller's account at Stripe, the payouts from it to their bank, and how old a sale has to be for one."""

from datetime import timedelta
from typing import ClassVar
from uuid import UUID

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from connect.states import PAYOUT_MOVES, PayoutStatus
from veza.core.models import KeyedRow, LockableQuerySet, StatefulRow
from veza.core.money import format_amount


class ConnectedAccount(KeyedRow):
    """A seller's account at Stripe, as of Stripe's latest snapshot of it."""

    seller = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="connected_account")
    # NULL until Stripe has acknowledged it.
    stripe_account_id = models.CharField(max_length=64, null=True, blank=True, unique=True)
    # The only flag that decides whether a transfer is sent: never true against either of the two below.
    transfers_active = models.BooleanField(default=False)
    # Stripe's words: the status of the capability `transfers`, and why the account is disabled ("": it is not).
    transfers_status = models.CharField(max_length=40, blank=True, default="", db_default="")
    disabled_reason = models.CharField(max_length=100, blank=True, default="", db_default="")
    payouts_enabled = models.BooleanField(default=False)
    details_submitted = models.BooleanField(default=False)
    country = models.CharField(max_length=2, blank=True)
    # The requirements Stripe has not been given yet, by Stripe's names for them.
    currently_due = models.JSONField(default=list, blank=True)
    # Grows when Stripe refuses to open the account: it repeats a stored refusal for a day under the same key.
    key_epoch = models.PositiveIntegerField(default=0)
    # When the snapshot above was taken, by Stripe's clock: an older one arrives too late to count.
    snapshot_at = models.DateTimeField(null=True, blank=True)
    # Set when Stripe reports a change: the worker then reads the account.
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
            models.Index(
                fields=["refresh_due_at"], condition=Q(refresh_due_at__isnull=False), name="account_refresh_due"
            ),
        ]

    @property
    def correlation_id(self) -> UUID:
        """An account belongs to no order: its history is the seller's."""
        return self.seller_id

    def can_receive(self) -> bool:
        """Whether Stripe accepts a transfer to this account."""
        return self.stripe_account_id is not None and self.transfers_active


class SellerPayout(StatefulRow):
    """Money from a seller's account at Stripe to their bank, requested by the seller.

    Until `external_payout_id` is there a request may have reached Stripe or not, as `first_sent_at` tells; it is
    sent again under the same key. Its history is the seller's.
    """

    moves = PAYOUT_MOVES

    seller = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="payouts", db_index=False
    )
    stripe_account_id = models.CharField(max_length=64)
    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    status = models.CharField(max_length=12, choices=PayoutStatus, default=PayoutStatus.PENDING)
    external_payout_id = models.CharField(max_length=64, null=True, blank=True)
    # When we learned that Stripe has it: a balance that was read before need not show that it left.
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    first_sent_at = models.DateTimeField(null=True, blank=True)
    # Whether a request may be at Stripe without an answer.
    in_doubt = models.BooleanField(default=False)
    # When the worker calls Stripe next: soon after no answer, now and then while the bank has the payout.
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
        """The idempotency key of the request: always the same, so that it cannot pay out twice."""
        return f"{self.pk}:payout"

    def amount(self) -> str:
        """The amount with its currency, for people."""
        return format_amount(self.amount_minor, self.currency)


class PayoutTerms(KeyedRow):
    """How old a sale of one seller has to be before its share may be paid out; NULL: as PAYOUT_AFTER says.

    Append-only: the newest row of a seller is in force, and the others are its history.
    """

    seller = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="payout_terms", db_index=False
    )
    payout_after = models.DurationField(null=True, blank=True)
    reason = models.CharField(max_length=500)
    set_by = models.CharField(max_length=200)
    set_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "seller_payout_terms"
        verbose_name_plural = "payout terms"
        constraints = [
            models.CheckConstraint(
                condition=Q(payout_after__isnull=True) | Q(payout_after__gte=timedelta(0)),
                name="payout_after_not_negative",
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="payout_terms_have_a_reason"),
        ]
        indexes = [models.Index(fields=["seller", "-set_at", "-id"], name="payout_terms_newest_first")]
