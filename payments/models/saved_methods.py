"""Saved payment methods: consents that ended, methods that are to be deleted, and pages on which others are saved."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from veza.core.ids import provider_id
from veza.core.models import KeyedRow


class RevokedMandate(KeyedRow):
    """A payer's consent that has ended: its saved method is not charged, unless a later payment saves it again."""

    mandate_id = models.CharField(max_length=64, unique=True)
    payment_method_id = models.CharField(max_length=64, db_index=True)
    revoked_at = models.DateTimeField(db_default=Now())


class MethodDeletion(KeyedRow):
    """A saved method that Hyperswitch is to delete: its payer does not want to pay by it any more.

    It is over once `next_attempt_at` is NULL: deleted, or saved again by its payer before that.
    """

    correlation_id = models.UUIDField()
    payment_method_id = models.CharField(max_length=64)
    requested_at = models.DateTimeField(db_default=Now())
    # When Hyperswitch confirmed that it does not have the method any more.
    deleted_at = models.DateTimeField(null=True, blank=True)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["payment_method_id"],
                condition=Q(next_attempt_at__isnull=False),
                name="one_deletion_under_way_per_method",
            ),
            models.CheckConstraint(condition=~Q(payment_method_id=""), name="deletion_names_its_method"),
        ]
        indexes = [
            models.Index(
                fields=["next_attempt_at"], condition=Q(next_attempt_at__isnull=False), name="method_deletion_due"
            )
        ]


class MethodSetup(KeyedRow):
    """A payment page of zero at Hyperswitch, on which a payer saves another method. No money moves.

    It is open until `finished_at`: its method was saved, or its session is over. A method that is saved later counts.
    """

    # Of what the method will be charged for, in `currency`.
    correlation_id = models.UUIDField()
    payer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", db_index=False)
    currency = models.CharField(max_length=3)
    # The method that was saved on it; empty until then.
    payment_method_id = models.CharField(max_length=64, blank=True)
    requested_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True, blank=True)
    # When the worker closes the page; NULL: there is nothing to close.
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["correlation_id"], condition=Q(finished_at__isnull=True), name="one_open_setup_per_purchase"
            ),
        ]
        indexes = [
            models.Index(
                fields=["next_attempt_at"], condition=Q(next_attempt_at__isnull=False), name="method_setup_due"
            ),
            models.Index(fields=["correlation_id"], name="method_setup_story"),
        ]

    @property
    def provider_key(self) -> str:
        """Hyperswitch's id of the payment of zero."""
        return provider_id("set", self.pk)

    @property
    def customer_key(self) -> str:
        """The id under which Hyperswitch stores the payer's saved methods."""
        return f"cus_{self.payer_id.hex}"
