"""The webhook log is deleted after a while. Status changes, which name their delivery, are kept for ever."""

from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Event

import structlog
from django.db import connection
from django.utils import timezone

from payments.models import InvalidSignatureCount, WebhookDelivery
from veza.core.sweeps import Tally, beat

log = structlog.get_logger(__name__)
WORKER = "payments.clean_webhook_log"
# A batch is as short as a delivery, and most of the time none is running: deliveries find the disk and processors free.
BATCH = 2_000
PAUSE_SECONDS = 0.04
# By their place in the table: it is known once the rows are locked, and looking each up by its id takes as long again.
_DELETE = """
DELETE FROM webhook_log WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM webhook_log WHERE received_at < %s ORDER BY received_at LIMIT %s FOR UPDATE SKIP LOCKED
))
"""


def deletion_limit(days: int) -> datetime:
    """The time before which deliveries are deleted."""
    return timezone.now() - timedelta(days=days)


def count_outdated(days: int) -> int:
    """How many deliveries are older than `days`."""
    return WebhookDelivery.objects.filter(received_at__lt=deletion_limit(days)).count()


def clean(
    days: int, *, stopping: Event | None = None, report_progress: Callable[[int], object] = lambda count: None
) -> int:
    """Delete deliveries older than `days`, batch by batch with a pause between; how many there were.

    Each batch is a commit of its own. Ends after the running one when `stopping` is set; `report_progress` is called
    with the count so far. Coming to the end leaves a heartbeat.
    """
    assert days > 0, "a log that is deleted as it is written proves nothing"
    stopping, before, count = stopping or Event(), deletion_limit(days), 0
    while not stopping.is_set():
        with connection.cursor() as cursor:
            cursor.execute(_DELETE, [before, BATCH])
            batch_count = cursor.rowcount
        count += batch_count
        report_progress(count)
        if batch_count < BATCH:
            break
        stopping.wait(PAUSE_SECONDS)
    InvalidSignatureCount.objects.filter(minute_at__lt=before).delete()
    if not stopping.is_set():
        beat(WORKER, Tally(done=count))
    log.info("webhook_log_cleaned", deleted=count, before=before.isoformat(), stopped=stopping.is_set())
    return count
