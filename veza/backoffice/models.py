"""The back-office's own tables: staff actions, and hourly sums of postings."""

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from veza.core.models import KeyedRow


class StaffAction(KeyedRow):
    """One action of staff on one row: recorded before it runs, and its result afterwards.

    The id belongs to the submitted form, so the same submission never runs twice.
    """

    action = models.CharField(max_length=60)
    label = models.CharField(max_length=100)
    subject = models.CharField(max_length=60)
    subject_id = models.CharField(max_length=60)
    correlation_id = models.UUIDField(null=True, blank=True)
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    reason = models.TextField()
    request_id = models.CharField(max_length=100, blank=True)
    # Empty while it runs, and for ever if the process died meanwhile.
    outcome = models.CharField(max_length=10, blank=True)
    sentence = models.TextField(blank=True)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "backoffice_staffact"
        verbose_name = "staff action"
        verbose_name_plural = "staff actions"
        permissions = [("export_rows", "May export lists as files")]
        indexes = [
            models.Index(fields=["correlation_id", "at"], name="staff_act_story"),
            models.Index(fields=["subject_id"], name="staff_act_subject"),
            models.Index(fields=["-at"], name="staff_act_newest_first"),
        ]


class FlowHour(models.Model):
    """Postings of one hour, added up by kind and by pair of accounts. All sellers count as one account."""

    hour_at = models.DateTimeField()
    currency = models.CharField(max_length=3)
    kind = models.CharField(max_length=20)
    debit = models.CharField(max_length=60)
    credit = models.CharField(max_length=60)
    amount_minor = models.BigIntegerField()
    postings = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["hour_at", "currency", "kind", "debit", "credit"], name="one_sum_per_hour_and_flow"
            ),
        ]


class FlowMark(models.Model):
    """The last posting that is part of the hourly sums: one row, locked while more are added."""

    name = models.CharField(max_length=20, primary_key=True)
    last_id = models.UUIDField()
    at = models.DateTimeField()
