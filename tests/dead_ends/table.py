"""Every state of every machine: who moves a waiting row on and by when, or why a row may rest there for ever."""

import re
from collections.abc import Iterator
from typing import Any

from connect.admin_actions import RetryReversal, RetryTransfer, WriteOffDebt
from connect.models import SellerPayout, SellerTransfer, TransferReversal
from connect.worker.retry_policy import REVERSAL_FAILED, TRANSFER_FAILED
from marketplace.admin_actions import DeclineRefund, GrantRefund
from marketplace.models import License, Order, RefundApplication
from marketplace.refund_applications import DECISION_LATE, REFUND_TO_DECIDE
from payments.admin_actions import AcceptReceivedAmount, RefreshRefund, RefundMismatchInFull, ReplayWebhook
from payments.api.webhook import BAD_SIGNATURE
from payments.inbox.intake import Result
from payments.inbox.replay import UNSETTLED
from payments.models import Dispute, Payment, Refund, WebhookDelivery
from payments.refund_actions import EndRefund, EnterConvertedAmount
from payments.review_items import AMOUNT_IN_DOUBT, IN_DOUBT, MISMATCH, REFUND_OVERDUE
from subscriptions.models import PriceChange, Subscription, SubscriptionInvoice
from tests.core.machines import MACHINES, statuses_of
from tests.dead_ends.ways import Follows, Review, Way, Worker
from veza.core.email.outbox import EMAIL_FAILED
from veza.core.email_admin import ResendEmail
from veza.core.models import Email, KeyedRow

State = tuple[type[KeyedRow], str]
_RESEND, _RECONCILE = "payments.resend", "payments.reconcile"
_SUBSCRIPTIONS = Worker("subscriptions.run_due", "due_at")


def _payments_of(order: Order) -> Iterator[Payment]:
    yield from Payment.objects.of(Payment.Purpose.ORDER, order.pk)


def _refunds_of(order: Order) -> Iterator[Refund]:
    yield from Refund.objects.filter(payment__in=_payments_of(order))


def _disputes_of(row: License) -> Iterator[Dispute]:
    yield from Dispute.objects.filter(payment__in=_payments_of(row.order))


def _facts_of(row: License) -> Iterator[Dispute | Refund]:
    yield from _disputes_of(row)
    yield from _refunds_of(row.order)


WAITING: dict[State, tuple[Way, ...]] = {
    (Payment, "created"): (Worker(_RESEND, "next_attempt_at"),),
    (Payment, "pending"): (Worker(_RECONCILE, "created_at"), Worker("payments.close_unpaid", "close_due_at")),
    (Payment, "processing"): (Worker(_RECONCILE, "created_at"),),
    (Payment, "mismatched"): (Review((MISMATCH,), (AcceptReceivedAmount, RefundMismatchInFull)),),
    (Refund, "pending"): (
        Worker(_RESEND, "next_attempt_at"),
        Worker(_RECONCILE, "first_sent_at"),
        # An external one was never sent by us.
        Worker(_RECONCILE, "hyperswitch_refund_id"),
        Review((IN_DOUBT,), (RefreshRefund,)),
        Review((REFUND_OVERDUE,), (RefreshRefund, EndRefund)),
    ),
    (Dispute, "opened"): (Worker(_RESEND, "next_attempt_at"), Worker(_RECONCILE, "next_attempt_at")),
    (Dispute, "challenged"): (Worker(_RESEND, "next_attempt_at"), Worker(_RECONCILE, "next_attempt_at")),
    (WebhookDelivery, "skipped: waiting"): (
        Worker("payments.retry_deliveries", "next_attempt_at"),
        Review((UNSETTLED,), (ReplayWebhook,)),
    ),
    (WebhookDelivery, "skipped: unmatched"): (
        Worker("payments.retry_deliveries", "next_attempt_at"),
        Review((UNSETTLED,), (ReplayWebhook,)),
    ),
    (WebhookDelivery, "handler failed"): (
        Worker("payments.retry_deliveries", "next_attempt_at"),
        Review((UNSETTLED,), (ReplayWebhook,)),
    ),
    (SellerTransfer, "pending"): (Worker("connect.send_transfers", "next_retry_at"),),
    (SellerTransfer, "failed"): (Worker("connect.send_transfers", "next_retry_at"),),
    (SellerTransfer, "reversal_pending"): (Worker("connect.process_reversals", "next_retry_at"),),
    (SellerTransfer, "permanently_failed"): (
        Review((TRANSFER_FAILED, REVERSAL_FAILED), (RetryTransfer, RetryReversal, WriteOffDebt)),
    ),
    (TransferReversal, "sending"): (Follows(lambda row: [row.transfer]),),
    (SellerPayout, "pending"): (Worker("connect.move_on_payouts", "next_attempt_at"),),
    (SellerPayout, "in_transit"): (Worker("connect.move_on_payouts", "next_attempt_at"),),
    (Order, "pending"): (Follows(_payments_of),),
    (Order, "refund_pending"): (Follows(_refunds_of),),
    (RefundApplication, "requested"): (Review((REFUND_TO_DECIDE, DECISION_LATE), (GrantRefund, DeclineRefund)),),
    (License, "suspended"): (
        Follows(_disputes_of),
        Review((AMOUNT_IN_DOUBT,), (EnterConvertedAmount,), of=_facts_of),
    ),
    # Staff may withdraw it besides.
    (PriceChange, "announced"): (Worker("subscriptions.announce_prices", "due_at"),),
    (Subscription, "pending_payment"): (_SUBSCRIPTIONS,),
    (Subscription, "trialing"): (_SUBSCRIPTIONS,),
    (Subscription, "active"): (_SUBSCRIPTIONS,),
    (Subscription, "past_due"): (_SUBSCRIPTIONS,),
    (SubscriptionInvoice, "pending"): (Follows(lambda row: [row.subscription]),),
    (Email, "waiting"): (Worker("core.send_emails", "next_attempt_at"),),
    (Email, "failed"): (Review((EMAIL_FAILED,), (ResendEmail,)),),
}
AT_REST: dict[State, str] = {
    (Payment, "succeeded"): "the money was received and applied",
    (Payment, "failed"): "nothing was received; a worker closes the page on which the buyer may try again",
    (Payment, "cancelled"): "nothing is held of it",
    (Refund, "succeeded"): "the buyer has the money",
    (Refund, "failed"): "nothing moved; unapplied funds that it should have returned have a review item",
    (Refund, "bounced"): "the money is ours again; its review item asks to pay the buyer another way",
    **{
        (Dispute, status): "the bank has decided; what its decision leaves open has a review item"
        for status in ("accepted", "expired", "cancelled", "won", "lost")
    },
    (WebhookDelivery, "ok"): "it was applied",
    (WebhookDelivery, "skipped: duplicate"): "it was applied before",
    (WebhookDelivery, "skipped: stale"): "newer updates were applied before",
    (WebhookDelivery, "skipped: ignored"): "Veza has no part in it",
    (WebhookDelivery, "unreadable"): "the provider heard that it cannot be read, and sends it again",
    (WebhookDelivery, "signature_invalid"): "it proves nothing",
    (SellerTransfer, "completed"): "the seller has it, or it paid a debt",
    (SellerTransfer, "cancelled"): "nothing was sent, and nothing is owed",
    (SellerTransfer, "reversed"): "all of it came back",
    (TransferReversal, "made"): "Stripe has it",
    (TransferReversal, "refused"): "the next attempt is another intent",
    (SellerPayout, "paid"): "the seller's bank has it; a worker looks whether it comes back",
    (SellerPayout, "failed"): "the money is on the seller's account, and the seller may ask again",
    (SellerPayout, "cancelled"): "the money is on the seller's account, and the seller may ask again",
    (Order, "completed"): "the buyer has the licences",
    (Order, "failed"): "it was not paid",
    (Order, "expired"): "it was not paid",
    (Order, "cancelled"): "it was not paid",
    (Order, "refunded"): "the buyer has the money",
    (RefundApplication, "granted"): "its refund has the same id and a state of its own",
    (RefundApplication, "declined"): "the buyer keeps the licences, and was told why",
    (RefundApplication, "withdrawn"): "the buyer does not want it any more, or has the money",
    (License, "active"): "the buyer holds it",
    (License, "revoked"): "its money went back",
    (PriceChange, "withdrawn"): "it applies to no renewal; who was told of it is told",
    (PriceChange, "completed"): "every subscriber pays the new price, has another plan, or has left",
    (Subscription, "cancelled"): "the subscriber ended it",
    (Subscription, "expired"): "it was not paid",
    (SubscriptionInvoice, "paid"): "its period is paid",
    (SubscriptionInvoice, "failed"): "its subscription tries again, or has ended",
    (SubscriptionInvoice, "void"): "nothing is owed",
    (SubscriptionInvoice, "refunded"): "the subscriber has the money",
    (Email, "sent"): "the mail server has it",
    (Email, "dropped"): "it was not true any more; a newer fact has an e-mail of its own",
}


def status_of(row: Any) -> str:
    """The row's status; of a delivery, its result, where the errors are of two kinds: ours, and the body's."""
    if not isinstance(row, WebhookDelivery):
        return str(row.status)
    if not row.processing_result.startswith("error: "):
        return row.processing_result
    return "handler failed" if re.match(r"error: [A-Za-z]+: ", row.processing_result) else "unreadable"


def states() -> Iterator[State]:
    """Every state in which any row can be."""
    yield from ((machine, status) for machine in MACHINES for status in statuses_of(machine))
    yield from ((WebhookDelivery, str(result)) for result in Result)
    yield from ((WebhookDelivery, text) for text in ("handler failed", "unreadable", BAD_SIGNATURE.text))


def is_covered(row: Any) -> bool:
    """Whether the row waits in a state that the table knows, and one of the ways on is open."""
    return any(way.covers(row) for way in WAITING.get((type(row), status_of(row)), ()))


def forgotten_rows() -> Iterator[str]:
    """Rows that wait, though no worker, no review item and no other row will ever move them on."""
    for model in (*MACHINES, WebhookDelivery):
        for row in model._default_manager.all():
            state = (model, status_of(row))
            if state in WAITING and not is_covered(row):
                yield f"{model._meta.label} {row.pk} is {state[1]}, and nothing moves it on"
