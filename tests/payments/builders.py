"""What several tests of payments arrange or read: old and due rows, waiting deliveries, open reviews, balances."""

from datetime import timedelta

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from marketplace.allocation import accounts_of, remaining_shares, split
from marketplace.models import Order, OrderItem
from marketplace.refunds import create_refund_lines
from payments import tasks
from payments.ledger.postings import balances
from payments.models import Refund, WebhookDelivery
from payments.reconciliation import refresh
from tests.buying import dispute_object, envelope, payment_object, payment_of, refund_object
from veza.backoffice.proof import prove_payment
from veza.core.causes import Cause
from veza.core.models import ReviewItem

RECONCILE = refresh.by_reconciler()
BY_STAFF = Cause("staff", actor="finance@example.com", reason="agreed with the buyer")
HOUR = "2026-08-12T{:02d}:00:00.000Z"


def make_older(model, **time: float) -> None:
    """Let every row have been created, sent and due so long ago."""
    past = timezone.now() - timedelta(**time)
    model.objects.update(created_at=past)
    model.objects.filter(first_sent_at__isnull=False).update(first_sent_at=past)
    model.objects.filter(next_attempt_at__isnull=False).update(next_attempt_at=past)


def make_due(model) -> None:
    """Let every row be due."""
    model.objects.update(next_attempt_at=timezone.now() - timedelta(seconds=1))


def make_deliveries_due() -> None:
    """Let every delivery that will be replayed be due."""
    rows = WebhookDelivery.objects.filter(next_attempt_at__isnull=False)
    rows.update(next_attempt_at=timezone.now() - timedelta(seconds=1))


def refresh_calls(sandbox, kind: str = "payments") -> int:
    """How often one payment, refund or dispute was read at Hyperswitch."""
    return sum(call["method"] == "GET" and call["path"].startswith(f"/{kind}/") for call in sandbox.calls())


def handle_waiting_deliveries() -> None:
    """Run the sweep of the inbox if a delivery is due."""
    if WebhookDelivery.objects.filter(next_attempt_at__lte=Now()).exists():
        tasks.retry_deliveries()


def open_reviews() -> list[tuple[str, int]]:
    """The kind and amount of each open review item."""
    return sorted(ReviewItem.objects.filter(closed_at=None).values_list("kind", "amount_minor"))


def open_kinds() -> set[str]:
    return {kind for kind, _ in open_reviews()}


def balances_of(order: Order) -> dict[str, int]:
    """What each account holds of the order, sellers as one."""
    sums: dict[str, int] = {}
    for (account, _), amount in balances(correlation_id=order.pk).items():
        name = account.partition(":")[0]
        sums[name] = sums.get(name, 0) + amount
    return {name: amount for name, amount in sums.items() if amount}


def is_proved(order: Order) -> bool:
    """Whether the books of the order's payment are in order."""
    return prove_payment(payment_of(order)).differences == []


def unsent_refund(order: Order, amount_minor: int) -> Refund:
    """A refund of the order that was opened before its payment was received."""
    parts = split(
        amount_minor, remaining_shares(list(OrderItem.objects.filter(order=order).order_by("pk"))), order.currency
    )
    refund = Refund.objects.create(
        payment=payment_of(order),
        correlation_id=order.pk,
        amount_minor=amount_minor,
        currency=order.currency,
        allocation=accounts_of(parts),
        source=Refund.Source.BUYER,
    )
    with transaction.atomic():
        create_refund_lines(refund, parts)
    return refund


def six_deliveries(order: Order, *, refund_minor: int, dispute_minor: int, ends: str) -> list[bytes]:
    """A payment, a refund that the bank returns, and a dispute that ends."""
    payment, refund = payment_of(order), unsent_refund(order, refund_minor)
    dispute = {"payment": payment, "amount_minor": dispute_minor}
    return [
        envelope("payment_processing", payment_object(payment, status="processing", updated=HOUR.format(1))),
        envelope("payment_succeeded", payment_object(payment, updated=HOUR.format(2))),
        envelope("refund_succeeded", refund_object(refund, updated_at=HOUR.format(3))),
        envelope("refund_failed", refund_object(refund, status="failed", updated_at=HOUR.format(4))),
        envelope("dispute_opened", dispute_object(**dispute, status="dispute_opened")),
        envelope(f"dispute_{ends}", dispute_object(**dispute, status=f"dispute_{ends}")),
    ]


def six_deliveries_of_an_external_refund(order: Order, *, refund_minor: int, dispute_minor: int) -> list[bytes]:
    """A payment, an external refund in doubt that succeeds and is returned, and a dispute that is won."""
    payment = payment_of(order)
    refund = {"refund_id": "ref_there", "payment_id": payment.provider_key, "amount": refund_minor, "currency": "EUR"}
    dispute = {"payment": payment, "amount_minor": dispute_minor}
    return [
        envelope("payment_succeeded", payment_object(payment, updated=HOUR.format(1))),
        envelope("refund_succeeded", refund | {"status": "review", "updated_at": HOUR.format(2)}),
        envelope("refund_succeeded", refund | {"status": "succeeded", "updated_at": HOUR.format(3)}),
        envelope("refund_failed", refund | {"status": "failed", "updated_at": HOUR.format(4)}),
        envelope("dispute_opened", dispute_object(**dispute, status="dispute_opened")),
        envelope("dispute_won", dispute_object(**dispute, status="dispute_won")),
    ]
