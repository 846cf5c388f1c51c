"""Cleaning up: subscriptions that are active without an effective payment."""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from django.core.serializers.json import DjangoJSONEncoder

from subscriptions import invoices
from subscriptions.access import effective_payment, is_in_doubt
from subscriptions.messages.periods import write_ended
from subscriptions.models import Subscription, UnpaidSubscriptionAudit
from subscriptions.states import InvoiceStatus, SubscriptionStatus
from veza.core import writes
from veza.core.causes import Cause
from veza.core.models import KeyedRow
from veza.core.states import move

REASON = "Active without a free plan, an unexpired trial or a paid invoice."


def find_unpaid(*, at: datetime, chunk: int = 500) -> Iterator[Subscription]:
    """The active subscriptions without an effective payment at `at`, oldest first, in bounded memory."""
    active = Subscription.objects.filter(status=SubscriptionStatus.ACTIVE).select_related("plan", "user")
    for subscription in active.order_by("pk").iterator(chunk_size=chunk):
        if _is_unpaid(subscription, at=at):
            yield subscription


def _is_unpaid(subscription: Subscription, *, at: datetime) -> bool:
    """A payment in doubt gives no access, and is a payment: finance decides about it."""
    return effective_payment(subscription, at=at) is None and not is_in_doubt(subscription)


@writes.atomic()
def expire_unpaid(subscription_id: UUID, *, cause: Cause, at: datetime) -> bool:
    """Copy the row into the audit table for support, then expire it; False if it is not (or no longer) unpaid."""
    active = Subscription.objects.locked().filter(status=SubscriptionStatus.ACTIVE)
    subscription = active.filter(pk=subscription_id).first()
    if subscription is None or not _is_unpaid(subscription, at=at):
        return False
    UnpaidSubscriptionAudit.objects.create(
        subscription=subscription,
        user_id=subscription.user_id,
        plan=subscription.plan,
        status=subscription.status,
        row=_serialize_row(subscription),
        invoices=[_serialize_row(invoice) for invoice in subscription.invoices.order_by("pk")],
        reason=REASON,
        detected_at=at,
    )
    move(subscription, SubscriptionStatus.EXPIRED, cause=cause, at=at, ended_at=at, due_at=None)
    invoices.close_invoices(subscription, InvoiceStatus.FAILED, cause=cause, at=at)
    write_ended(subscription)
    return True


def _serialize_row(row: KeyedRow) -> dict[str, Any]:
    """Every column of the row, in JSON."""
    columns = {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}
    snapshot: dict[str, Any] = json.loads(json.dumps(columns, cls=DjangoJSONEncoder))
    return snapshot
