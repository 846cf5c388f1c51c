"""The ledger: its accounts and postings, the rows that explain them, and opening balances.

Amounts are minor units of `currency`.
"""

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from payments.models.payments import Payment
from veza.core.models import KeyedRow


class LedgerAccount(models.Model):
    """An account of the ledger. Its balance is the sum of its postings."""

    code = models.CharField(max_length=60, primary_key=True)


class Posting(KeyedRow):
    """Money from one account to another: one row, so debits and credits cannot differ. Append-only.

    `kind` and `subject_id` name the row that explains it: the payment that received, the order or invoice the money was
    applied to, the refund, dispute, transfer, reversal, write-off or statement entry. `number` tells the batches of
    one subject apart, `leg` the lines of one batch.

    The table has one more column, `xact_id`: the number of the transaction that inserted the row. Only the database
    sets it, and only `opening_balances` reads it.
    """

    class Kind(models.TextChoices):
        RECEIVED = "received"
        APPLIED = "applied"
        REFUND = "refund"
        DISPUTE = "dispute"
        TRANSFER = "transfer"
        REVERSAL = "reversal"
        WRITE_OFF = "write_off"
        STATEMENT = "statement"

    debit = models.ForeignKey(LedgerAccount, on_delete=models.PROTECT, related_name="debits", db_index=False)
    credit = models.ForeignKey(LedgerAccount, on_delete=models.PROTECT, related_name="credits", db_index=False)
    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    kind = models.CharField(max_length=10, choices=Kind)
    subject_id = models.UUIDField()
    number = models.BigIntegerField(default=0)
    leg = models.CharField(max_length=130)
    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="postings", null=True)
    correlation_id = models.UUIDField()
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(amount_minor__gt=0), name="posting_amount_positive"),
            models.CheckConstraint(condition=~Q(debit=F("credit")), name="posting_between_two_accounts"),
            models.CheckConstraint(
                condition=Q(
                    kind__in=[
                        "received",
                        "applied",
                        "refund",
                        "dispute",
                        "transfer",
                        "reversal",
                        "write_off",
                        "statement",
                    ]
                ),
                name="posting_kind_known",
            ),
            models.CheckConstraint(condition=Q(number__gte=0), name="posting_number_not_negative"),
            models.CheckConstraint(
                condition=Q(kind="statement", payment__isnull=True) | ~Q(kind="statement") & Q(payment__isnull=False),
                name="posting_of_a_payment_or_a_statement",
            ),
            models.UniqueConstraint(fields=["subject_id", "kind", "number", "leg"], name="a_fact_is_posted_once"),
        ]
        indexes = [models.Index(fields=["correlation_id", "at"], name="posting_story")]


class OpeningBalance(models.Model):
    """What a seller's account stood at when the books were closed last: a sum of postings, so that a page need not sum
    them all. The daily proof compares it with them.
    """

    account = models.ForeignKey(LedgerAccount, on_delete=models.PROTECT, related_name="+", db_index=False)
    currency = models.CharField(max_length=3)
    amount_minor = models.BigIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "currency"], name="one_opening_balance_per_currency")]


class LedgerClosing(models.Model):
    """Up to which transaction of the database postings are in the opening balances: one row."""

    closed_before = models.BigIntegerField()
    closed_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=1), name="closing_is_one_row")]


class WriteOff(KeyedRow):
    """A loss of ours that finance decided, and how much was recovered since.

    `account` is the account that no longer owes it: the seller's, or `recoverable`. `subject` and `subject_id` name the
    transfer, refund or dispute it was owed for.
    """

    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="write_offs")
    correlation_id = models.UUIDField(db_index=True)
    subject = models.CharField(max_length=60)
    subject_id = models.UUIDField(db_index=True)
    account = models.ForeignKey(LedgerAccount, on_delete=models.PROTECT, related_name="+", db_index=False)
    amount_minor = models.BigIntegerField()
    recovered_minor = models.BigIntegerField(default=0)
    recoveries = models.PositiveIntegerField(default=0)
    currency = models.CharField(max_length=3)
    review_item_id = models.UUIDField()
    decided_by = models.CharField(max_length=200, blank=True)
    reason = models.TextField(blank=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(amount_minor__gt=0), name="write_off_amount_positive"),
            models.CheckConstraint(
                condition=Q(recovered_minor__gte=0, recovered_minor__lte=F("amount_minor")),
                name="write_off_recovered_within_amount",
            ),
        ]

    @property
    def lost_minor(self) -> int:
        """What is still our loss, in minor units of `currency`."""
        return self.amount_minor - self.recovered_minor


class StatementEntry(KeyedRow):
    """One line of a provider's or bank's statement, booked once. `name` is the statement's own id of the line.

    `kind` is one of `payments.ledger.statement_kinds`. `account` is the one that a difference is about. `corrects` is
    the line whose money this one moves back.
    """

    name = models.CharField(max_length=100, unique=True)
    kind = models.CharField(max_length=20)
    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    at = models.DateTimeField()
    account = models.CharField(max_length=130, blank=True, default="")
    corrects = models.OneToOneField("self", on_delete=models.PROTECT, null=True, related_name="correction")
    reason = models.TextField(blank=True, default="")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name_plural = "statement entries"
        constraints = [
            models.CheckConstraint(
                condition=Q(amount_minor__gt=0) | Q(kind="difference", amount_minor__lt=0),
                name="statement_entry_amount_positive",
            ),
            models.CheckConstraint(
                condition=Q(
                    kind__in=[
                        "settlement",
                        "top_up",
                        "bank_top_up",
                        "stripe_payout",
                        "fee",
                        "dispute_fee",
                        "dispute_fee_return",
                        "stripe_fee",
                        "tax_remitted",
                        "reserve_held",
                        "reserve_released",
                        "collection",
                        "collection_return",
                        "difference",
                    ]
                ),
                name="statement_entry_kind_known",
            ),
            models.CheckConstraint(
                condition=Q(kind="difference") & ~Q(account="") | ~Q(kind="difference") & Q(account=""),
                name="statement_entry_account_of_difference",
            ),
            models.CheckConstraint(
                condition=Q(corrects__isnull=True) & Q(account="") | ~Q(reason=""),
                name="statement_entry_reason_given",
            ),
        ]
