"""Plans, subscriptions and their invoices. Amounts are minor units of `currency`."""

from typing import ClassVar
from uuid import UUID

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from payments.models import Refund
from subscriptions.states import (
    INVOICE_MOVES,
    LIVE,
    PRICE_CHANGE_MOVES,
    SUBSCRIPTION_MOVES,
    InvoiceStatus,
    PriceChangeStatus,
    SubscriptionStatus,
)
from veza.core.models import KeyedRow, LockableQuerySet, StatefulRow
from veza.core.money import basis_points_of


class Plan(KeyedRow):
    """One version of a plan that creators subscribe to, with its price. A price of zero is a free plan.

    Its price never changes: another price is another version, for new subscribers. Who is subscribed keeps the version
    that they agreed to. `active`: it is offered to new subscribers, which one version of a name is at most.
    """

    class Interval(models.TextChoices):
        MONTH = "month"
        YEAR = "year"

    name = models.CharField(max_length=60)
    version = models.PositiveSmallIntegerField(default=1, db_default=1)
    # Before tax, which is added on top.
    price_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    tax_basis_points = models.PositiveIntegerField(default=0, db_default=0)
    interval = models.CharField(max_length=5, choices=Interval, default=Interval.MONTH)
    trial_days = models.PositiveSmallIntegerField(default=0)
    can_sell_on_marketplace = models.BooleanField(default=False)
    can_distribute = models.BooleanField(default=False, db_default=False)
    active = models.BooleanField(default=True)
    created_at = models.DateTimeField(db_default=Now())

    objects: ClassVar[LockableQuerySet["Plan"]] = LockableQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["name", "version"], name="one_plan_per_name_and_version"),
            models.UniqueConstraint(fields=["name"], condition=Q(active=True), name="one_active_plan_per_name"),
            models.CheckConstraint(condition=Q(price_minor__gte=0), name="plan_price_not_negative"),
            models.CheckConstraint(condition=Q(currency__regex="^[A-Z]{3}$"), name="plan_currency_code"),
            models.CheckConstraint(condition=Q(tax_basis_points__lte=10_000), name="plan_tax_at_most_whole"),
        ]

    def __str__(self) -> str:
        return self.name if self.version == 1 else f"{self.name}, version {self.version}"

    @property
    def is_free(self) -> bool:
        return self.price_minor == 0

    @property
    def tax_minor(self) -> int:
        """The tax on one period, in minor units of `currency`."""
        return basis_points_of(self.price_minor, self.tax_basis_points, self.currency)

    @property
    def total_minor(self) -> int:
        """What one period costs with tax, in minor units of `currency`."""
        return self.price_minor + self.tax_minor


class PriceChange(StatefulRow):
    """The price of a newer version of a plan, announced to the subscribers of an older one.

    It applies to each at the first renewal that is far enough from their e-mail: `prices` decides.
    """

    moves = PRICE_CHANGE_MOVES

    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="price_changes", db_index=False)
    new_plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="+", db_index=False)
    status = models.CharField(max_length=10, choices=PriceChangeStatus, default=PriceChangeStatus.ANNOUNCED)
    # When the sweep writes to subscribers next; NULL: each has been told. The sweep's lease as well.
    due_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now())

    objects: ClassVar[LockableQuerySet["PriceChange"]] = LockableQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(status__in=PriceChangeStatus.values), name="price_change_status_known"),
            models.UniqueConstraint(
                fields=["plan"], condition=Q(status="announced"), name="one_announced_price_change_per_plan"
            ),
            models.CheckConstraint(condition=~Q(new_plan=F("plan")), name="price_change_is_to_another_version"),
        ]
        indexes = [
            models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="price_change_due"),
        ]

    @property
    def correlation_id(self) -> UUID:
        return self.pk

    @property
    def is_raise(self) -> bool:
        """Whether subscribers pay more than before, with tax."""
        return self.new_plan.total_minor > self.plan.total_minor


class Subscription(StatefulRow):
    """A user's subscription. Its status alone never gives access: `access` decides."""

    moves = SUBSCRIPTION_MOVES

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="subscriptions", db_index=False
    )
    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="subscriptions", db_index=False)
    # The plan after this period; NULL = the same plan again.
    next_plan = models.ForeignKey(
        Plan, null=True, blank=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    status = models.CharField(max_length=16, choices=SubscriptionStatus, default=SubscriptionStatus.PENDING_PAYMENT)
    # The period that is paid for, free, or on trial; NULL until there is one.
    period_start_at = models.DateTimeField(null=True, blank=True)
    period_end_at = models.DateTimeField(null=True, blank=True)
    # The day of the month that periods end on, so that January 31 is followed by March 31.
    anchor_day = models.PositiveSmallIntegerField()
    trial_ends_at = models.DateTimeField(null=True, blank=True)
    cancel_at_period_end = models.BooleanField(default=False)
    past_due_since_at = models.DateTimeField(null=True, blank=True)
    # The end of the period whose renewal reminder was sent.
    reminded_for_at = models.DateTimeField(null=True, blank=True)
    hyperswitch_customer_id = models.CharField(max_length=64, blank=True)
    # The saved method that renewals charge; empty until a payment saved one.
    hyperswitch_payment_method_id = models.CharField(max_length=64, blank=True)
    # The last day on which the saved card is valid; NULL: it is no card, or its expiry is not known.
    method_expires_on = models.DateField(null=True, blank=True)
    # The refund for which it does not renew, until that fails; NULL: it renews, or its subscriber cancelled it.
    ending_refund = models.ForeignKey(
        Refund, null=True, blank=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    # Disputes that were opened before do not stop charges: staff cleared them.
    disputes_cleared_at = models.DateTimeField(null=True, blank=True)
    # When the sweep processes it next; NULL = never. The sweep's lease as well.
    due_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now())

    objects: ClassVar[LockableQuerySet["Subscription"]] = LockableQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        db_table = "user_subscriptions"
        constraints = [
            models.CheckConstraint(condition=Q(status__in=SubscriptionStatus.values), name="subscription_status_known"),
            models.UniqueConstraint(
                fields=["user"], condition=Q(status__in=LIVE), name="one_live_subscription_per_user"
            ),
            models.UniqueConstraint(
                fields=["user"], condition=Q(trial_ends_at__isnull=False), name="one_trial_per_user_ever"
            ),
            models.CheckConstraint(
                condition=Q(period_start_at__isnull=True, period_end_at__isnull=True)
                | Q(period_end_at__gt=F("period_start_at")),
                name="subscription_period_has_two_ends",
            ),
            models.CheckConstraint(
                condition=Q(anchor_day__gte=1, anchor_day__lte=31), name="subscription_anchor_is_a_day"
            ),
        ]
        indexes = [
            models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="subscription_due"),
            models.Index(fields=["user", "-created_at"], name="subscription_user_newest_first"),
            models.Index(fields=["plan"], condition=Q(status__in=LIVE), name="subscription_live_of_plan"),
            models.Index(
                fields=["hyperswitch_payment_method_id"],
                condition=~Q(hyperswitch_payment_method_id=""),
                name="subscription_saved_method",
            ),
        ]

    @property
    def correlation_id(self) -> UUID:
        return self.pk


class SubscriptionInvoice(StatefulRow):
    """The invoice of one period of a subscription: price and tax are frozen when it is opened.

    An upgrade's is of the price less a credit for the rest of the period before; the credits are beside what is due.
    """

    moves = INVOICE_MOVES

    subscription = models.ForeignKey(Subscription, on_delete=models.PROTECT, related_name="invoices", db_index=False)
    # The plan that is paid for: it decides the features, even after the subscription's plan has changed.
    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="+", db_index=False)
    period_start_at = models.DateTimeField()
    period_end_at = models.DateTimeField()
    net_minor = models.BigIntegerField()
    tax_minor = models.BigIntegerField()
    total_minor = models.BigIntegerField()
    # It begins within the period of the invoice before, and replaces it once it is paid.
    is_upgrade = models.BooleanField(default=False, db_default=False)
    # What was deducted from the price and from its tax, and the paid invoice whose rest it is; NULL: nothing was paid.
    credit_net_minor = models.BigIntegerField(default=0, db_default=0)
    credit_tax_minor = models.BigIntegerField(default=0, db_default=0)
    credited_invoice = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    currency = models.CharField(max_length=3)
    status = models.CharField(max_length=10, choices=InvoiceStatus, default=InvoiceStatus.PENDING)
    paid_at = models.DateTimeField(null=True, blank=True)
    # Hyperswitch's id of the payment that paid it.
    hyperswitch_payment_id = models.CharField(max_length=64, null=True, blank=True, unique=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "subscription_invoices"
        verbose_name = "invoice"
        constraints = [
            models.CheckConstraint(condition=Q(status__in=InvoiceStatus.values), name="invoice_status_known"),
            models.UniqueConstraint(fields=["subscription", "period_start_at"], name="one_invoice_per_period"),
            models.CheckConstraint(
                condition=Q(period_end_at__gt=F("period_start_at")), name="invoice_period_has_two_ends"
            ),
            models.CheckConstraint(condition=Q(currency__regex="^[A-Z]{3}$"), name="invoice_currency_code"),
            models.CheckConstraint(
                condition=Q(total_minor=F("net_minor") + F("tax_minor")), name="invoice_total_is_net_and_tax"
            ),
            models.CheckConstraint(
                condition=Q(net_minor__gte=0, tax_minor__gte=0, total_minor__gt=0), name="invoice_sums_make_sense"
            ),
            models.CheckConstraint(
                condition=Q(credit_net_minor=0, credit_tax_minor=0)
                | Q(credit_net_minor__gte=0, credit_tax_minor__gte=0, is_upgrade=True, credited_invoice__isnull=False),
                name="invoice_credit_is_of_an_upgrade",
            ),
            models.CheckConstraint(
                condition=Q(hyperswitch_payment_id__isnull=True) | ~Q(hyperswitch_payment_id=""),
                name="invoice_payment_id_not_empty",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["paid", "refunded"], paid_at__isnull=False)
                | ~Q(status__in=["paid", "refunded"]),
                name="invoice_paid_says_when",
            ),
        ]

    @property
    def correlation_id(self) -> UUID:
        return self.subscription_id

    @property
    def credit_minor(self) -> int:
        """What was deducted in all, in minor units of `currency`."""
        return self.credit_net_minor + self.credit_tax_minor


class UnpaidSubscriptionAudit(KeyedRow):
    """A copy of a subscription that was active without an effective payment. Append-only."""

    subscription = models.ForeignKey(Subscription, on_delete=models.PROTECT, related_name="+", db_index=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="+", db_index=False)
    status = models.CharField(max_length=16)
    # The whole row, column by column, and its invoices.
    row = models.JSONField()
    invoices = models.JSONField()
    reason = models.CharField(max_length=200)
    detected_at = models.DateTimeField()


class DistributionSubmission(KeyedRow):
    """A work submitted for distribution, and the subscription that allowed it."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="submissions", db_index=False
    )
    subscription = models.ForeignKey(Subscription, on_delete=models.PROTECT, related_name="+", db_index=False)
    title = models.CharField(max_length=120)
    artist = models.CharField(max_length=120)
    note = models.TextField(blank=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [models.Index(fields=["user", "-created_at"], name="submission_user_newest_first")]
