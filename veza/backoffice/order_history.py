"""The rows of an order or a subscription, floor by floor, as the pages show them."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from connect.models import SellerTransfer, TransferReversal
from marketplace.models import License, Order, RefundApplication
from payments.models import Dispute, Payment, Refund, WebhookDelivery
from subscriptions.models import Subscription
from veza.core.admin_columns import (
    Panel,
    age,
    amount,
    badge,
    column,
    email_recipient,
    email_title,
    moment,
    money,
    panel,
    person,
    short_id,
    status,
)
from veza.core.models import Email, ReviewItem
from veza.core.words import format_status


def panels_of(correlation_id: UUID) -> list[Panel]:
    """Every row with this correlation id, each linked to its page; empty panels are left out."""
    return [each for each in _panels(correlation_id) if each.lines]


def _panels(correlation_id: UUID) -> Iterator[Panel]:
    yield panel("Order", Order.objects.filter(pk=correlation_id), [short_id, money("total"), status, age])
    yield panel("Subscription", Subscription.objects.filter(pk=correlation_id), [short_id, status, age])
    received_column, refunded_column = money("received"), money("refunded")
    payments = Payment.objects.filter(correlation_id=correlation_id).order_by("pk")
    yield panel("Payments", payments, [short_id, amount, status, received_column, refunded_column, age])
    refunds = Refund.objects.filter(correlation_id=correlation_id).order_by("pk")
    yield panel("Refunds", refunds, [short_id, amount, status, column("requested by")(lambda row: row.source), age])
    applications = RefundApplication.objects.filter(order=correlation_id).order_by("pk")
    yield panel("Refund requests", applications, [short_id, amount, status, moment("due_at", "due"), age])
    yield panel(
        "Disputes",
        Dispute.objects.filter(correlation_id=correlation_id).order_by("pk"),
        [short_id, amount, status, age],
    )
    licenses = License.objects.filter(order=correlation_id).select_related("item").order_by("pk")
    yield panel("Licences", licenses, [short_id, column("work")(lambda row: row.item.title), status, age])
    transfers = SellerTransfer.objects.filter(order=correlation_id).select_related("seller").order_by("pk")
    reversed_column = money("reversed", "reversed")
    yield panel("Transfers to sellers", transfers, [short_id, person("seller"), amount, status, reversed_column])
    reversals = TransferReversal.objects.filter(correlation_id=correlation_id).order_by("pk")
    yield panel("Reversals", reversals, [short_id, amount, status, age])
    deliveries = WebhookDelivery.objects.filter(correlation_id=correlation_id).order_by("received_at")
    yield panel("Webhook deliveries", deliveries, [moment("received_at", "received"), event, result])
    emails = Email.objects.filter(correlation_id=correlation_id).select_related("recipient").order_by("pk")
    yield panel("E-mails", emails, [email_title, email_recipient, status, moment("sent_at", "sent")])
    items = ReviewItem.objects.filter(correlation_id=correlation_id).order_by("pk")
    yield panel("Review items", items, [column("kind")(lambda row: format_status(row.kind)), status, why])


@column("event")
def event(delivery: WebhookDelivery) -> str:
    return delivery.event_type or "unreadable"


@column("result")
def result(delivery: WebhookDelivery) -> Any:
    return badge(delivery.processing_result.partition(":")[0])


@column("why")
def why(item: ReviewItem) -> str:
    return item.why
