"""What must be true when a walk is over: the proof holds, the books are the providers' truth, nothing is forgotten."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from django.db.models import QuerySet

from connect.models import SellerTransfer
from marketplace.models import License
from payments.ledger.chart_of_accounts import DISPUTE_SUSPENSE, PSP_CLEARING, UNAPPLIED
from payments.ledger.postings import balances
from payments.models import Dispute, Payment, Refund, WebhookDelivery
from payments.webhooks import HANDLERS
from tests.dead_ends.table import forgotten_rows
from tests.walker.world import World
from veza.backoffice.verification import faults_of_ledger, verify_ledger
from veza.core.models import ReviewItem

Sums = dict[str, int]
REFUND_STATUS = {"succeeded": {"succeeded"}, "failed": {"failed", "bounced"}, "pending": {"pending"}}


def faults(world: World) -> list[str]:
    """Everything that is wrong, in sentences.

    The daily proof has run: an account of ours that banks have emptied has its review item.
    """
    verify_ledger()
    objects, moved = world.sandbox.objects(), _movements(world)
    return [
        *world.bugs,
        *(f"proof: {fault} (payment {payment_id})" for payment_id, fault in faults_of_ledger()),
        *_payment_faults(objects["payments"], _captured(world, moved)),
        *_access_faults(_captured(world, moved)),
        *_idle_funds(),
        *_refund_faults(objects["refunds"], moved),
        *_dispute_faults(objects["disputes"], moved),
        *_transfer_faults(objects["transfers"]),
        *forgotten_rows(),
        *_unsettled_deliveries(),
    ]


def _movements(world: World) -> dict[str, Sums]:
    """What really moved for each object, by its provider's id, currency by currency."""
    sums: dict[str, Counter[str]] = {}
    for movement in world.sandbox.truth()["movements"]:
        sums.setdefault(movement["id"], Counter())[movement["currency"]] += movement["amount"]
    return {key: _nonzero(counter) for key, counter in sums.items()}


def _nonzero(sums: dict[str, int]) -> Sums:
    return {currency: amount for currency, amount in sums.items() if amount}


def _captured(world: World, moved: dict[str, Sums]) -> dict[str, Sums]:
    """What each payment has captured and not voided: finance knows what Hyperswitch does not say of some."""
    entered = {key: {currency: amount} for key, (amount, currency) in world.entered.items()}
    return moved | entered


def _booked(row: Payment | Refund | Dispute) -> Sums:
    """What our books say went in or out for one object: through Hyperswitch's account, or into suspense.

    What a payment captured and lost again is booked under its foreign receipts and its voids.
    """
    sign = -1 if isinstance(row, Payment) else 1
    accounts = (PSP_CLEARING, DISPUTE_SUSPENSE) if isinstance(row, Dispute) else (PSP_CLEARING,)
    sums: Counter[str] = Counter()
    keys = [row.pk]
    if isinstance(row, Payment):
        keys += [*row.foreign_receipts.values_list("pk", flat=True), *_voids_of(row).values_list("pk", flat=True)]
    for (account, currency), amount in balances(subject_id__in=keys).items():
        sums[currency] += sign * amount if account in accounts else 0
    return _nonzero(sums)


def _voids_of(payment: Payment) -> QuerySet[Refund]:
    return payment.refunds.filter(source="void")


def _target(row: Refund | Dispute, moved: Sums) -> Sums:
    """What has to be booked: what moved, in the payment's currency once finance has entered the amount in that one."""
    return {row.booked_currency: row.booked_minor} if moved and row.converted_minor is not None else moved


def _payment_faults(there: list[dict[str, Any]], moved: dict[str, Sums]) -> Iterator[str]:
    ours = {payment.provider_key: payment for payment in Payment.objects.all()}
    for remote in there:
        key = remote["payment_id"]
        if key not in ours:
            yield f"payment {key} is unknown to us"
        elif _booked(ours[key]) != moved.get(key, {}):
            yield (
                f"payment {key}: {moved.get(key, {})} moved, {_booked(ours[key])} is booked "
                f"({remote['status']} there, {ours[key].status} here)"
            )


def _access_faults(captured: dict[str, Sums]) -> Iterator[str]:
    """A buyer holds licences of an order of which nothing is captured any more."""
    sums: dict[Any, bool] = {}
    for payment in Payment.objects.filter(purpose="order"):
        sums[payment.purpose_id] = sums.get(payment.purpose_id, False) or bool(captured.get(payment.provider_key))
    held = License.objects.filter(order__in=[key for key, is_paid in sums.items() if not is_paid])
    for license_ in held.exclude(status="revoked"):
        yield f"license {license_.pk} is {license_.status}, and nothing is captured of order {license_.order_id}"


def _idle_funds() -> Iterator[str]:
    """Money that pays for nothing, that no refund is returning, and that no review item tells finance of."""
    for payment in Payment.objects.filter(received_minor__gt=0).prefetch_related("refunds", "disputes"):
        facts = [payment, *payment.refunds.all(), *payment.disputes.all()]
        items = ReviewItem.objects.filter(closed_at=None, subject_id__in=[fact.pk for fact in facts])
        if items.exclude(kind="payment_voided").exists() or payment.has_pending_refund():
            continue
        for (account, currency), amount in balances(payment=payment).items():
            if account == UNAPPLIED and amount > 0:
                yield f"payment {payment.provider_key} ({payment.status}): {amount} {currency} pays for nothing"


def _refund_faults(there: list[dict[str, Any]], moved: dict[str, Sums]) -> Iterator[str]:
    ours = {one.provider_key: one for one in Refund.objects.exclude(source="void").select_related("payment")}
    remote_ids = {remote["refund_id"] for remote in there}
    for remote in there:
        key = remote["refund_id"]
        refund = ours.get(key)
        if refund is None:
            if remote["status"] == "succeeded":
                yield f"refund {key} is unknown to us: {remote['amount']} {remote['currency']}"
            continue
        if refund.status not in REFUND_STATUS[remote["status"]]:
            yield f"refund {key} is {remote['status']} there, {refund.status} here"
        if _booked(refund) != (target := _target(refund, moved.get(key, {}))):
            yield f"refund {key}: {target} moved, {_booked(refund)} is booked"
    held = set(Payment.objects.with_rest_in_doubt().values_list("pk", flat=True))
    for key, refund in ours.items():
        waits_for_finance = refund.first_sent_at is None and refund.payment_id in held
        if key not in remote_ids and (
            refund.status == "succeeded" or (refund.status == "pending" and not waits_for_finance)
        ):
            yield f"refund {key} is {refund.status} here and does not exist there"


def _dispute_faults(there: list[dict[str, Any]], moved: dict[str, Sums]) -> Iterator[str]:
    ours = {one.hyperswitch_dispute_id: one for one in Dispute.objects.select_related("payment")}
    for remote in there:
        key, dispute = remote["dispute_id"], ours.get(remote["dispute_id"])
        if dispute is None:
            yield f"dispute {key} is unknown to us"
            continue
        here = (f"dispute_{dispute.status}", dispute.stage, str(dispute.amount_minor), dispute.currency)
        names = ("dispute_status", "dispute_stage", "amount", "currency")
        if here != tuple(remote[name] for name in names):
            yield f"dispute {key} is {[remote[name] for name in names]} there, {here} here"
        if _booked(dispute) != (target := _target(dispute, moved.get(key, {}))):
            yield f"dispute {key}: {target} moved, {_booked(dispute)} is booked"


def _transfer_faults(there: list[dict[str, Any]]) -> Iterator[str]:
    rows = SellerTransfer.objects.filter(stripe_transfer_id__isnull=False)
    here = {row.stripe_transfer_id: (row.sent_minor, row.reversed_minor, row.currency) for row in rows}
    remote = {one["id"]: (one["amount"], one["amount_reversed"], one["currency"].upper()) for one in there}
    for key in sorted({*here, *remote}, key=str):
        if here.get(key) != remote.get(str(key)):
            yield f"transfer {key}: {remote.get(str(key))} at Stripe, {here.get(key)} here"


def _unsettled_deliveries() -> Iterator[str]:
    """A webhook of a type that we handle, still waiting or unmatched two days later."""
    for delivery in WebhookDelivery.objects.filter(event_type__in=HANDLERS, next_attempt_at__isnull=False):
        yield f"delivery {delivery.event_type} {delivery.event_id} is still {delivery.processing_result}"
