"""A row in each state in which it waits, made as such rows come about."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from connect.models import SellerPayout, SellerTransfer, TransferReversal
from connect.reversals.reversal_requests import open_reversal
from connect.worker.retry_policy import fail_permanently
from marketplace.models import License, Order, RefundApplication
from marketplace.undecided_refunds import review_undecided
from payments.models import Dispute, Payment, Refund, WebhookDelivery
from payments.refunds.overdue import review_overdue_refunds
from payments.retry_policy import REPLAY_FOR
from payments.tasks import retry_deliveries
from subscriptions.models import Plan, PriceChange, Subscription, SubscriptionInvoice
from subscriptions.price_changes import announce
from tests.buying import (
    ago,
    application_of,
    deliver,
    deliver_dispute,
    deliver_payment,
    deliver_refund,
    envelope,
    order_of,
    paid,
    payment_object,
    payment_of,
    refund_of,
)
from tests.connect.factories import BY_TEST, make_seller, planned, to_reverse
from tests.dead_ends.table import State
from tests.factories import OfferFactory, PersonFactory
from tests.sandbox.process import Sandbox
from tests.subscriptions.repricing import next_version
from tests.subscriptions.subscribing import PlanFactory, subscribe
from veza.core.email.sending import send_due
from veza.core.ids import new_id
from veza.core.models import Email, User


def any_order() -> Order:
    return order_of(OfferFactory())


def paid_order(sandbox: Sandbox) -> Order:
    """An order that was paid on its page, and whose webhook has arrived."""
    order = any_order()
    sandbox.pay(payment_of(order).provider_key)
    return paid(order)


def created_payment(sandbox: Sandbox) -> Payment:
    sandbox.fault("drop", "^/payments$", method="POST", times=0)
    return payment_of(any_order())


def payment_after(status: str, **payload: Any) -> Payment:
    payment = payment_of(any_order())
    deliver_payment(payment, status=status, **payload)
    return Payment.objects.get(pk=payment.pk)


def nothing_received() -> Payment:
    payment = payment_of(any_order())
    deliver(envelope("action_required", payment_object(payment, status="review", amount_received=0)))
    return Payment.objects.get(pk=payment.pk)


def refund(sandbox: Sandbox) -> Refund:
    return Refund.objects.get(pk=refund_of(paid_order(sandbox)).pk)


def overdue_refund(sandbox: Sandbox) -> Refund:
    """A refund that has been pending for longer than REFUND_REVIEW_AFTER."""
    row = refund(sandbox)
    Refund.objects.filter(pk=row.pk).update(created_at=ago(days=5))
    review_overdue_refunds()
    return Refund.objects.get(pk=row.pk)


def refund_application(sandbox: Sandbox) -> RefundApplication:
    """A buyer gave an exclusive licence back, bought it again, and wants to give it back again."""
    offer = OfferFactory(license="exclusive")
    first = paid(order_of(offer))
    sandbox.pay(payment_of(first).provider_key)
    deliver_refund(refund_of(first))
    return application_of(paid(order_of(offer, buyer=first.buyer)))


def late_refund_application(sandbox: Sandbox) -> RefundApplication:
    """A refund application whose date has passed undecided."""
    row = refund_application(sandbox)
    RefundApplication.objects.update(due_at=ago(days=1))
    review_undecided()
    return row


def dispute(sandbox: Sandbox, *statuses: str) -> Dispute:
    payment = payment_of(paid_order(sandbox))
    for status in statuses:
        deliver_dispute(payment, status)
    return Dispute.objects.get()


def license_in_doubt(sandbox: Sandbox) -> License:
    """A refund in another currency was made at the dashboard."""
    order = paid_order(sandbox)
    payload = {"refund_id": "ref_there", "payment_id": payment_of(order).provider_key, "status": "succeeded"}
    deliver(envelope("refund_succeeded", {**payload, "amount": 2_00, "currency": "USD"}))
    return License.objects.get(order=order)


def delivery(event_type: str, payload: dict[str, Any], *, result: str = "") -> WebhookDelivery:
    deliver(envelope(event_type, payload))
    if result:
        WebhookDelivery.objects.update(processing_result=result, next_attempt_at=timezone.now())
    return WebhookDelivery.objects.latest("pk")


def unmatched_delivery(*, result: str = "") -> WebhookDelivery:
    payload = {"payment_id": "pay_unknown", "status": "succeeded", "amount": 12_00, "currency": "EUR"}
    return delivery("payment_succeeded", payload, result=result)


def given_up_delivery() -> WebhookDelivery:
    """A success whose amount Hyperswitch did not report for as long as deliveries are replayed."""
    deliver_payment(payment_of(any_order()), amount_received=None)
    long_ago = timezone.now() - REPLAY_FOR
    WebhookDelivery.objects.update(received_at=long_ago, next_attempt_at=long_ago)
    retry_deliveries()
    return WebhookDelivery.objects.latest("pk")


@transaction.atomic
def failed(transfer: SellerTransfer) -> SellerTransfer:
    """A transfer or reversal that the workers gave up."""
    fail_permanently(transfer, "No.", cause=BY_TEST, at=timezone.now())
    return SellerTransfer.objects.get(pk=transfer.pk)


def sending_reversal() -> TransferReversal:
    attempt = open_reversal(to_reverse().pk, cause=BY_TEST)
    assert attempt is not None
    return attempt.intent


def payout(**fields: Any) -> SellerPayout:
    seller = make_seller()
    common = {"stripe_account_id": "acct_1", "amount_minor": 5_00, "currency": "EUR", "next_attempt_at": timezone.now()}
    return SellerPayout.objects.create(seller=seller, **common, **fields)


def born(row: Any, status: str, **fields: Any) -> Any:
    """The row as a new one that was born in `status`."""
    values = {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}
    type(row)._default_manager.filter(pk=row.pk).delete()
    return type(row)._default_manager.create(**{**values, "status": status, **fields})


def unpaid_subscription() -> Subscription:
    return subscribe(_plan(), at=timezone.now())


def paid_subscription() -> Subscription:
    subscription = unpaid_subscription()
    deliver_payment(Payment.objects.get())
    return Subscription.objects.get(pk=subscription.pk)


def _plan(**fields: Any) -> Plan:
    return PlanFactory(**fields)


def announced_price() -> PriceChange:
    plan = paid_subscription().plan
    next_version(plan, 50_00)
    return announce(price_change_id=new_id(), plan_id=plan.pk, cause=BY_TEST, at=timezone.now())


def past_due_subscription() -> Subscription:
    values = {"user": PersonFactory(), "plan": _plan(), "anchor_day": 1, "due_at": timezone.now()}
    period = {"period_start_at": timezone.now() - timedelta(days=31), "period_end_at": timezone.now()}
    return Subscription.objects.create(**values, **period, past_due_since_at=timezone.now(), status="past_due")


def email(sandbox: Sandbox) -> Email:
    return Email.objects.get(subject_id=paid_order(sandbox).pk, message="order_receipt")


def failed_email(sandbox: Sandbox) -> Email:
    """Its recipient has no address that a mail server would accept."""
    row = email(sandbox)
    User.objects.filter(pk=row.recipient_id).update(email="no address")
    send_due()
    return Email.objects.get(pk=row.pk)


ROWS: dict[State, Callable[[Sandbox], Any]] = {
    (Payment, "created"): created_payment,
    (Payment, "pending"): lambda sandbox: payment_of(any_order()),
    (Payment, "processing"): lambda sandbox: payment_after("processing"),
    (Payment, "mismatched"): lambda sandbox: payment_after("succeeded", amount_received=1),
    (Refund, "pending"): refund,
    (Dispute, "opened"): lambda sandbox: dispute(sandbox, "opened"),
    (Dispute, "challenged"): lambda sandbox: dispute(sandbox, "opened", "challenged"),
    (WebhookDelivery, "skipped: waiting"): lambda sandbox: unmatched_delivery(result="skipped: waiting"),
    (WebhookDelivery, "skipped: unmatched"): lambda sandbox: unmatched_delivery(),
    (WebhookDelivery, "handler failed"): lambda sandbox: unmatched_delivery(result="error: KeyError: 'x'"),
    (SellerTransfer, "pending"): lambda sandbox: planned(),
    (SellerTransfer, "failed"): lambda sandbox: born(planned(), "failed"),
    (SellerTransfer, "reversal_pending"): lambda sandbox: to_reverse(),
    (SellerTransfer, "permanently_failed"): lambda sandbox: failed(planned()),
    (TransferReversal, "sending"): lambda sandbox: sending_reversal(),
    (SellerPayout, "pending"): lambda sandbox: payout(),
    (SellerPayout, "in_transit"): lambda sandbox: payout(status="in_transit", external_payout_id="po_1"),
    (Order, "pending"): lambda sandbox: any_order(),
    (Order, "refund_pending"): lambda sandbox: Order.objects.get(pk=refund(sandbox).correlation_id),
    (RefundApplication, "requested"): refund_application,
    (License, "suspended"): lambda sandbox: License.objects.get(order=dispute(sandbox, "opened").correlation_id),
    (PriceChange, "announced"): lambda sandbox: announced_price(),
    (Subscription, "pending_payment"): lambda sandbox: unpaid_subscription(),
    (Subscription, "trialing"): lambda sandbox: subscribe(_plan(trial_days=7), at=timezone.now()),
    (Subscription, "active"): lambda sandbox: paid_subscription(),
    (Subscription, "past_due"): lambda sandbox: past_due_subscription(),
    (SubscriptionInvoice, "pending"): lambda sandbox: unpaid_subscription().invoices.get(),
    (Email, "waiting"): email,
    (Email, "failed"): failed_email,
}
# Rows that wait in the same state for another reason.
VARIANTS: list[tuple[State, Callable[[Sandbox], Any]]] = [
    ((Payment, "mismatched"), lambda sandbox: payment_after("succeeded", currency="USD")),
    ((Payment, "mismatched"), lambda sandbox: payment_after("succeeded", amount_received=99_00)),
    ((Payment, "mismatched"), lambda sandbox: nothing_received()),
    ((Refund, "pending"), overdue_refund),
    ((License, "suspended"), lambda sandbox: license_in_doubt(sandbox)),
    ((WebhookDelivery, "skipped: waiting"), lambda sandbox: given_up_delivery()),
    ((SellerTransfer, "permanently_failed"), lambda sandbox: failed(to_reverse())),
    ((SellerTransfer, "permanently_failed"), lambda sandbox: failed(planned(in_doubt_since=timezone.now()))),
]
