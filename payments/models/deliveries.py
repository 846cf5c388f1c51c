"""Webhook deliveries, and the count of those with an invalid signature."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from veza.core.models import KeyedRow


class WebhookDelivery(KeyedRow):
    """One webhook delivery with its result, written in the commit of its effects."""

    provider = models.CharField(max_length=20)
    event_id = models.CharField(max_length=100, null=True, blank=True)
    event_type = models.CharField(max_length=60, null=True, blank=True)
    payload = models.TextField()
    payload_sha256 = models.CharField(max_length=64)
    signature_valid = models.BooleanField()
    processing_result = models.CharField(max_length=300)
    source_ip = models.GenericIPAddressField(null=True, blank=True)
    user_agent = models.CharField(max_length=300, blank=True)
    request_id = models.CharField(max_length=100, blank=True)
    correlation_id = models.UUIDField(null=True, blank=True)
    received_at = models.DateTimeField(db_default=Now())
    processed_at = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(default=1)
    next_attempt_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "webhook_log"
        verbose_name_plural = "webhook deliveries"
        constraints = [
            models.UniqueConstraint(
                fields=["provider", "event_id"],
                condition=Q(processing_result__in=["ok", "skipped: stale", "skipped: ignored"]),
                name="an_event_is_handled_once",
            ),
        ]
        indexes = [
            models.Index(fields=["received_at"], name="webhook_received"),
            models.Index(fields=["correlation_id", "received_at"], name="webhook_story"),
            models.Index(fields=["received_at"], condition=Q(signature_valid=False), name="webhook_attacks"),
            models.Index(fields=["next_attempt_at"], condition=Q(next_attempt_at__isnull=False), name="webhook_due"),
        ]


class InvalidSignatureCount(models.Model):
    """How many deliveries with an invalid signature arrived in one minute, beyond those that were stored."""

    provider = models.CharField(max_length=20)
    minute_at = models.DateTimeField()
    deliveries = models.BigIntegerField()
    bytes = models.BigIntegerField()

    class Meta:
        db_table = "webhook_forgeries"
        constraints = [
            models.UniqueConstraint(fields=["provider", "minute_at"], name="one_count_per_provider_and_minute"),
        ]
