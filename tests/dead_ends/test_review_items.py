"""Every kind of review item has an end besides closing by hand, and the action that ends it is really offered."""

from typing import Any

import pytest
from django.apps import apps
from django.db import transaction
from django.utils import timezone

from connect.accounts import DISCONNECTED, revoke_access
from connect.closed_balances import BALANCE, review_closed_balances
from connect.closing import OWED
from connect.models import ConnectedAccount, SellerTransfer
from connect.reversals.reversal_outcomes import EXTERNAL_REVERSAL, REVERSED_TWICE
from connect.transfers.transfer_outcomes import SENT_TWICE
from connect.transfers.transfer_refresh import NOT_READABLE, UNLISTED
from connect.transfers.transfer_requests import send_transfer
from connect.worker.retry_policy import REVERSAL_FAILED, TRANSFER_FAILED
from marketplace.licenses import DISPUTED_IN_PART, NOT_RESTORED
from marketplace.models import License, Order
from marketplace.refund_applications import DECISION_LATE, REFUND_TO_DECIDE
from marketplace.restrictions import HOLD_DUE, SUSPENSION_DUE
from payments import review_items as kinds
from payments.disputes.dispute_updates import apply_dispute
from payments.hyperswitch.objects import parse_dispute
from payments.inbox.replay import UNKNOWN_PROFILE, UNSETTLED, replay
from payments.inbox.unknown_events import UNKNOWN_EVENT, UNREADABLE_EVENT
from payments.models import Dispute, Payment, Refund, WebhookDelivery
from payments.reconciliation.refresh import refresh_refund
from payments.retry_policy import AMOUNT_MISSING_FOR
from payments.reviews.mismatches import accept_received_amount
from subscriptions.chargebacks import CHARGES_STOPPED
from tests.buying import (
    deliver,
    deliver_dispute,
    deliver_payment,
    deliver_refund,
    dispute_object,
    envelope,
    order_of,
    paid,
    payment_object,
    payment_of,
    refund_object,
    refund_of,
)
from tests.connect.factories import BY_TEST, completed, make_seller, planned, to_reverse
from tests.dead_ends.reviews import ENDS, Act, Task, kinds_in
from tests.dead_ends.rows import (
    any_order,
    failed,
    failed_email,
    late_refund_application,
    overdue_refund,
    paid_order,
    payment_after,
    refund,
    refund_application,
    unmatched_delivery,
)
from tests.dead_ends.ways import is_offered
from tests.factories import OfferFactory
from tests.payments.voiding import at_provider, deliver_action, read
from tests.restricting import closed, due_for_review, held, suspended
from tests.subscriptions.subscribing import activate, last_payment
from veza.core.email.outbox import EMAIL_FAILED
from veza.core.models import ReviewItem
from veza.core.reviews import open_review
from veza.schedule import SWEEPS

pytestmark = pytest.mark.django_db
WITH_ACTION = [(kind, end) for kind, end in ENDS.items() if isinstance(end, Act)]


def test_every_kind_in_the_source_has_an_end_in_the_table():
    opened = kinds_in(("open_review", "_open_review", "open_review_of"))

    assert opened == set(ENDS), "name what ends it besides closing it by hand"


def test_the_reader_of_the_source_knows_every_way_to_name_a_kind():
    assert {TRANSFER_FAILED, REVERSAL_FAILED, "stripe_auth_rejected", NOT_RESTORED} <= kinds_in(("open_review",))


def test_what_a_worker_or_the_provider_resolves_is_closed_somewhere():
    closed = kinds_in(("close_review", "close_reviews", "close_reviews_except"))

    assert {kind for kind, end in ENDS.items() if isinstance(end, Task)} - closed == set()


@pytest.mark.parametrize("task", sorted({end.name for end in ENDS.values() if isinstance(end, Task)}))
def test_the_worker_that_ends_an_item_is_scheduled(task):
    assert task in SWEEPS


# One review item of each kind that an action ends, made as it comes about.


def unknown_payment_status(sandbox):
    payment = payment_of(any_order())
    deliver(envelope("payment_processing", payment_object(payment, status="quite_new")))


def unapplied_funds(sandbox):
    payment = payment_of(any_order())
    deliver_payment(payment, amount_received=payment.amount_minor + 500)
    accept_received_amount(payment_id=payment.pk, cause=BY_TEST)
    deliver_refund(Refund.objects.get(), status="failed")


def contradicting_reads(sandbox):
    order = paid_order(sandbox)
    for status in ("failed", "cancelled_post_capture"):
        at_provider(sandbox, order, status=status)
        read(order)


def contradicting_reads_of_a_refund(sandbox):
    row = refund(sandbox)
    deliver_refund(row)
    for amount in (0, 1_00):
        sandbox.control(f"refunds/{row.provider_key}", silent=True, status="succeeded", amount=amount)
        refresh_refund(row.pk, cause=BY_TEST)


def success_without_amount(sandbox):
    order = any_order()
    sandbox.pay(payment_of(order).provider_key)
    at_provider(sandbox, order, amount_received=None)
    deliver_payment(payment_of(order), amount_received=None)
    Payment.objects.update(amount_missing_since=timezone.now() - AMOUNT_MISSING_FOR)
    read(order)


def external_refund(sandbox, *, amount: int = 2_00, currency: str = "EUR"):
    payment = payment_of(paid_order(sandbox))
    payload = {"refund_id": "ref_there", "payment_id": payment.provider_key, "status": "succeeded"}
    deliver(envelope("refund_succeeded", {**payload, "amount": amount, "currency": currency}))


def other_refund_amount(sandbox):
    deliver_refund(refund(sandbox), amount=1_00)


def returned_refund(sandbox):
    row = refund(sandbox)
    deliver_refund(row)
    deliver_refund(Refund.objects.get(), status="failed")


def refund_in_doubt(sandbox):
    row = refund(sandbox)
    deliver(envelope("refund_failed", refund_object(row, status="review")))


def unknown_profile(sandbox):
    deliver_payment(payment_of(any_order()), profile_id="pro_of_others")


def disputed(sandbox, *statuses: str, amount_minor: int):
    payment = payment_of(paid_order(sandbox))
    for status in statuses:
        deliver_dispute(payment, status, amount_minor=amount_minor)


def unsettled_delivery(sandbox):
    delivery = unmatched_delivery()
    open_review(UNSETTLED, delivery, why="It matched nothing.", what_to_do="Replay the webhook.")


def licence_not_restored(sandbox):
    """A lost dispute revoked an exclusive licence, another buyer has it, and the first one's dispute is won."""
    offer = OfferFactory(license="exclusive")
    first = paid(order_of(offer))
    deliver_dispute(payment_of(first), "lost")
    paid(order_of(offer))
    deliver_dispute(payment_of(first), "won")
    payload = dispute_object(payment=payment_of(first), amount_minor=first.total_minor, status="dispute_won")
    with transaction.atomic():  # Only the answer to a refresh undoes an end.
        apply_dispute(parse_dispute(payload), cause=BY_TEST, at=timezone.now(), is_answer=True)


def external_reversal(sandbox):
    transfer = completed(
        amount_minor=9_00, reversal_target_minor=4_00, reversed_minor=4_00, external_reversed_minor=4_00
    )
    of_transfer(EXTERNAL_REVERSAL, transfer)


def of_transfer(kind: str, transfer: SellerTransfer | None = None):
    open_review(kind, transfer or completed(), why="Stripe shows something else.", what_to_do="Refresh it.")


def revoked_account(sandbox):
    revoke_access(ConnectedAccount.objects.get(seller=make_seller()), at=timezone.now())


def disputed_subscription(sandbox):
    subscription = activate(sandbox, at=timezone.now())
    deliver_dispute(last_payment(subscription), "opened")


def closed_balance(sandbox):
    seller = make_seller(stripe_account_id=sandbox.create_account())
    send_transfer(planned(seller).pk, cause=BY_TEST)
    closed(seller)
    review_closed_balances()


MAKE: dict[str, Any] = {
    kinds.MISMATCH: lambda sandbox: payment_after("succeeded", amount_received=99_00),
    kinds.PAYMENT_STATUS_UNKNOWN: unknown_payment_status,
    kinds.PAYMENT_CONTRADICTED: contradicting_reads,
    kinds.PAYMENT_AMOUNT_MISSING: success_without_amount,
    kinds.REFUND_CONTRADICTED: contradicting_reads_of_a_refund,
    kinds.PAYMENT_VOIDED: lambda sandbox: deliver_action(paid_order(sandbox), "cancelled_post_capture"),
    kinds.UNAPPLIED_FUNDS: unapplied_funds,
    kinds.EXTERNAL_REFUND: external_refund,
    kinds.REFUND_DIFFERS: other_refund_amount,
    kinds.RETURNED: returned_refund,
    kinds.REFUND_EXCESS: lambda sandbox: external_refund(sandbox, amount=50_00),
    kinds.IN_DOUBT: refund_in_doubt,
    kinds.REFUND_OVERDUE: overdue_refund,
    REFUND_TO_DECIDE: refund_application,
    DECISION_LATE: late_refund_application,
    kinds.DISPUTE_TO_ANSWER: lambda sandbox: disputed(sandbox, "opened", amount_minor=5_00),
    kinds.DISPUTE_EXCESS: lambda sandbox: disputed(sandbox, "lost", amount_minor=50_00),
    UNKNOWN_PROFILE: unknown_profile,
    kinds.AMOUNT_IN_DOUBT: lambda sandbox: external_refund(sandbox, currency="USD"),
    UNSETTLED: unsettled_delivery,
    UNKNOWN_EVENT: lambda sandbox: deliver(envelope("quite_new", {})),
    UNREADABLE_EVENT: lambda sandbox: deliver_payment(payment_of(any_order()), amount="12"),
    DISPUTED_IN_PART: lambda sandbox: disputed(sandbox, "lost", amount_minor=1),
    NOT_RESTORED: licence_not_restored,
    TRANSFER_FAILED: lambda sandbox: failed(planned()),
    REVERSAL_FAILED: lambda sandbox: failed(to_reverse()),
    EXTERNAL_REVERSAL: external_reversal,
    REVERSED_TWICE: lambda sandbox: of_transfer(REVERSED_TWICE),
    SENT_TWICE: lambda sandbox: of_transfer(SENT_TWICE),
    NOT_READABLE: lambda sandbox: of_transfer(NOT_READABLE),
    UNLISTED: lambda sandbox: of_transfer(UNLISTED),
    DISCONNECTED: revoked_account,
    EMAIL_FAILED: failed_email,
    CHARGES_STOPPED: disputed_subscription,
    SUSPENSION_DUE: lambda sandbox: due_for_review(suspended()),
    HOLD_DUE: lambda sandbox: due_for_review(held()),
    BALANCE: closed_balance,
    OWED: lambda sandbox: closed(planned(make_seller(active=False)).seller),
}


@pytest.mark.parametrize(("kind", "end"), WITH_ACTION, ids=[kind for kind, _ in WITH_ACTION])
def test_the_action_that_ends_it_is_offered(sandbox, kind, end):
    MAKE[kind](sandbox)
    item = ReviewItem.objects.get(kind=kind, closed_at__isnull=True)
    row = apps.get_model(item.subject)._default_manager.get(pk=item.subject_id)

    assert is_offered(end.action, Order.objects.get(pk=item.correlation_id) if end.on_order else row)


# What ends the kinds that only hands could close before.


def test_another_refund_ends_the_item_about_a_returned_one(sandbox):
    returned_refund(sandbox)
    order = Order.objects.get()

    deliver_refund(refund_of(order))

    assert ReviewItem.objects.get(kind=kinds.RETURNED).note == "The buyer was refunded again."


def test_a_smaller_refund_does_not_end_the_item_about_a_returned_one(sandbox):
    returned_refund(sandbox)
    order = Order.objects.get()

    deliver_refund(refund_of(order, amount_minor=1_00))

    assert ReviewItem.objects.get(kind=kinds.RETURNED).status == "open"


def test_a_known_status_ends_the_item_about_an_unknown_one(sandbox):
    payment = payment_of(paid_order(sandbox))
    deliver_dispute(payment, "opened", dispute_status="dispute_quite_new")
    assert ReviewItem.objects.get(kind=kinds.DISPUTE_STATUS_UNKNOWN).status == "open"

    deliver_dispute(payment, "opened")

    assert ReviewItem.objects.get(kind=kinds.DISPUTE_STATUS_UNKNOWN).status == "closed"
    assert Dispute.objects.get().status == "opened"


def test_a_replay_under_the_right_profile_ends_the_item_about_it(sandbox, settings):
    unknown_profile(sandbox)
    settings.HYPERSWITCH_PROFILE_ID = "pro_of_others"

    replay(WebhookDelivery.objects.get().pk)

    assert ReviewItem.objects.get(kind=UNKNOWN_PROFILE).status == "closed"
    assert Payment.objects.get().status == "succeeded"


def test_a_refund_ends_the_item_about_a_licence_that_was_not_restored(sandbox):
    licence_not_restored(sandbox)
    item = ReviewItem.objects.get(kind=NOT_RESTORED)
    order = License.objects.get(pk=item.subject_id).order
    sandbox.pay(payment_of(order).provider_key)

    deliver_refund(refund_of(order))

    item.refresh_from_db()
    assert item.status == "closed"
