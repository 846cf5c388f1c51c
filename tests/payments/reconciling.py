"""Words for rows that are old, and for how often the provider was asked."""

from datetime import timedelta

from django.utils import timezone

from payments.reconciliation import refresh as reconcile

RECONCILE = reconcile.by_reconciler()


def older(model, **time: float) -> None:
    past = timezone.now() - timedelta(**time)
    model.objects.update(created_at=past)
    model.objects.filter(first_sent_at__isnull=False).update(first_sent_at=past)
    model.objects.filter(next_attempt_at__isnull=False).update(next_attempt_at=past)


def params(sandbox, kind: str = "payments") -> int:
    return sum(call["method"] == "GET" and call["path"].startswith(f"/{kind}/") for call in sandbox.calls())
