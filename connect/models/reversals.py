"""The two ways money sent to a seller is recovered: a reversal at Stripe, and a set-off against a later transfer."""

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from connect.models.transfers import SellerTransfer
from connect.states import REVERSAL_MOVES, ReversalStatus
from veza.core.models import KeyedRow, StatefulRow
from veza.core.money import format_amount


class TransferReversal(StatefulRow):
    """The intent to bring a transfer from `from_minor` reversed to `to_minor`, committed before the call."""

    moves = REVERSAL_MOVES
    begins_with_default = False

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
    # While a call may still be under way, its absence at Stripe says nothing.
    last_sent_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now())

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
        indexes = [models.Index(fields=["correlation_id"], name="reversal_correlation_id")]

    @property
    def amount_minor(self) -> int:
        return self.to_minor - self.from_minor

    def amount(self) -> str:
        """The amount with its currency, for people."""
        return format_amount(self.amount_minor, self.currency)


class SetOff(KeyedRow):
    """Part of a transfer that was withheld, because its seller owed it for another order.

    `transfer` was sent `amount_minor` less, and that much less of `debt` is reversed. What is unwound is owed again.
    """

    transfer = models.ForeignKey(SellerTransfer, on_delete=models.PROTECT, related_name="set_offs")
    debt = models.ForeignKey(SellerTransfer, on_delete=models.PROTECT, related_name="offsets")
    amount_minor = models.BigIntegerField()
    unwound_minor = models.BigIntegerField(default=0)
    currency = models.CharField(max_length=3)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "seller_set_offs"
        constraints = [
            models.CheckConstraint(condition=Q(amount_minor__gt=0), name="set_off_takes_something"),
            models.CheckConstraint(
                condition=Q(unwound_minor__gte=0, unwound_minor__lte=F("amount_minor")), name="set_off_undone_within_it"
            ),
            models.CheckConstraint(condition=~Q(transfer=F("debt")), name="set_off_between_two_transfers"),
        ]

    @property
    def net_minor(self) -> int:
        """The amount less what was unwound."""
        return self.amount_minor - self.unwound_minor

    def amount(self) -> str:
        """The amount with its currency, for people."""
        return format_amount(self.amount_minor, self.currency)
