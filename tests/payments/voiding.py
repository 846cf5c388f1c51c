"""Words for money that changes after it was received, and for the time between two reads."""

from datetime import timedelta

from django.db.models import F

from payments.models import Payment
from payments.reconciliation import refresh
from tests.buying import deliver, envelope, payment_object, payment_of
from veza.core.causes import Cause
from veza.core.models import ReviewItem

BY_STAFF = Cause("staff", actor="finance@example.com", reason="agreed with the buyer")


def open_items() -> set[tuple[str, int]]:
    return set(ReviewItem.objects.filter(closed_at=None).values_list("kind", "amount_minor"))


def at_provider(sandbox, order, **changes) -> None:
    """Change the payment at Hyperswitch; its webhook never comes."""
    sandbox.control(f"payments/{payment_of(order).provider_key}", silent=True, **changes)


def deliver_action(order, status: str, **payload) -> None:
    """A webhook that has no event of its own for its status."""
    deliver(envelope("action_required", payment_object(payment_of(order), status=status, **payload)))


def read(order) -> str:
    return refresh.refresh_payment(payment_of(order).pk, cause=refresh.by_reconciler())


def a_minute_later() -> None:
    Payment.objects.update(
        contradicted_at=F("contradicted_at") - timedelta(minutes=1),
        last_read_at=F("last_read_at") - timedelta(minutes=1),
    )


def read_twice(order) -> None:
    read(order)
    a_minute_later()
    read(order)


def sums_of(order) -> tuple[str, int, int]:
    payment = payment_of(order)
    return payment.status, payment.received_minor, payment.voided_minor()
