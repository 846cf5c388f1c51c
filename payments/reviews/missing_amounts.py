"""Payments that succeeded at Hyperswitch without an amount: finance enters what its dashboard shows."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from uuid import UUID

from django.utils import timezone

from payments.collection.payment_updates import apply_payment
from payments.hyperswitch import client
from payments.ledger.proof import Fault
from payments.models import Payment
from payments.review_items import PAYMENT_AMOUNT_MISSING
from veza.core import calls, writes
from veza.core.accounts import refuse_own
from veza.core.causes import Cause
from veza.core.errors import NotAllowed
from veza.core.models import ReviewItem
from veza.core.money import format_amount
from veza.core.outcomes import Accepted


class NoAmountMissing(NotAllowed):
    code = "no_amount_missing"


class AmountNotApplicable(NotAllowed):
    code = "amount_not_applicable"


def is_amount_missing(payment: Payment) -> bool:
    """Whether a review item asks for the amount of this payment."""
    items = ReviewItem.objects.filter(kind=PAYMENT_AMOUNT_MISSING, subject_id=payment.pk, closed_at__isnull=True)
    return payment.amount_missing_since is not None and items.exists()


def unbooked_successes(payments: Iterable[Payment]) -> Iterator[tuple[UUID, Fault]]:
    """By payment, those that Hyperswitch reports as succeeded without an amount: it holds money that no book has.

    An open review item says that finance is asked for the amount.
    """
    rows = {payment.pk: payment for payment in payments if payment.amount_missing_since is not None}
    if not rows:
        return
    reviewed = ReviewItem.objects.filter(kind=PAYMENT_AMOUNT_MISSING, subject_id__in=rows, closed_at__isnull=True)
    for pk in rows.keys() - set(reviewed.values_list("subject_id", flat=True)):
        payment = rows[pk]
        price = format_amount(payment.amount_minor, payment.currency)
        text = f"Hyperswitch reports that it succeeded, and no amount: nothing of its price of {price} is booked"
        yield pk, Fault(text, payment.amount_minor, payment.currency)


def enter_received_amount(*, payment_id: UUID, amount_minor: int, cause: Cause) -> str:
    """Read the payment at Hyperswitch and apply it with the entered amount; returns the result's text.

    `amount_minor` is all that was received, in the currency that Hyperswitch reports. An amount that Hyperswitch does
    report now is applied instead. Raises OwnAccount, NoAmountMissing, AmountNotApplicable.
    """
    payment = Payment.objects.get(pk=payment_id)
    refuse_own(payment.payer_id, cause)
    if not is_amount_missing(payment):
        raise NoAmountMissing("The amount of this payment is not missing.")
    captured_minor, currency = payment.captured_funds()
    outcome = client.read_payment(payment.provider_key, force_sync=True)
    calls.record(outcome, subject=payment, our_id=payment.provider_key)
    if not isinstance(outcome, Accepted):
        raise AmountNotApplicable("Hyperswitch does not return the payment now. Try again later.")
    snapshot = outcome.value
    if snapshot.status == "succeeded" and snapshot.received_minor is None:
        if snapshot.currency == currency and amount_minor <= captured_minor:
            raise AmountNotApplicable("Enter all that was received: more than is booked already.")
        # What finance enters is newer than anything that was read or delivered.
        snapshot = replace(snapshot, received_minor=amount_minor, read_at=timezone.now(), updated_at=None)
    with writes.atomic():
        return apply_payment(snapshot, cause=cause, at=timezone.now()).text
