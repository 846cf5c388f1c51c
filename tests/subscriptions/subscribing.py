"""What happens around a subscription in a test: a user subscribes, pays, and time passes."""

from datetime import UTC, datetime, timedelta
from typing import Any

import factory
from django.db import transaction
from factory.django import DjangoModelFactory
from rest_framework.test import APIClient

from payments.collection.payment_updates import apply_payment
from payments.hyperswitch import client as hyperswitch_api
from payments.models import Payment, Refund
from subscriptions.access import effective_payment
from subscriptions.checkout import Checkout
from subscriptions.completion import request_completion
from subscriptions.models import Plan, Subscription, SubscriptionInvoice
from subscriptions.refunds import request_refund
from subscriptions.renewals import run_due
from subscriptions.subscribing import request_subscription
from tests.buying import deliver_payment
from tests.factories import PersonFactory
from veza.backoffice.proof import prove_payment
from veza.core.causes import Cause, by_sweep
from veza.core.ids import new_id
from veza.core.models import User
from veza.core.outcomes import Accepted

BY_USER = Cause("user", actor="a subscriber")
SWEEP = by_sweep("test")
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


class PlanFactory(DjangoModelFactory):
    """A plan of 10.00 a month and 20 % tax with every feature."""

    class Meta:
        model = Plan

    name = factory.Sequence(lambda n: f"Plan {n}")
    price_minor = 10_00
    currency = "EUR"
    tax_basis_points = 2_000
    can_sell_on_marketplace = True
    can_distribute = True


def free_plan(**fields: Any) -> Plan:
    return PlanFactory(price_minor=0, **fields)


def subscribe(plan: Plan, *, user: User | None = None, at: datetime = NOW) -> Subscription:
    return request_checkout(plan, user=user, at=at).subscription


def request_checkout(plan: Plan, *, user: User | None = None, at: datetime = NOW) -> Checkout:
    user = user or PersonFactory()
    return request_subscription(subscription_id=new_id(), user=user, plan_id=plan.pk, cause=BY_USER, at=at)


def complete(subscription: Subscription, *, user_id: Any = None, at: datetime = NOW) -> Checkout:
    user_id = user_id or subscription.user_id
    return request_completion(
        subscription_id=subscription.pk, payment_id=new_id(), user_id=user_id, cause=BY_USER, at=at
    )


def activate(sandbox, plan: Plan | None = None, *, user: User | None = None, at: datetime = NOW) -> Subscription:
    """A subscription whose first invoice was paid on the payment page."""
    subscription = subscribe(plan or PlanFactory(), user=user, at=at)
    press_button(sandbox, "pay", subscription, at=at)
    assert subscription.status == "active"
    return subscription


def press_button(sandbox, button: str, subscription: Subscription, *, at: datetime = NOW) -> None:
    """Press a button of the last payment's page, and apply the update."""
    sandbox.pay(last_payment(subscription).provider_key, button)
    deliver_update(last_payment(subscription), at=at)
    subscription.refresh_from_db()


def deliver_update(payment: Payment, *, at: datetime = NOW, **payload: Any) -> None:
    """Apply what Hyperswitch's webhook about this payment would report, at `at`."""
    outcome = hyperswitch_api.read_payment(payment.provider_key)
    assert isinstance(outcome, Accepted)
    with transaction.atomic():
        apply_payment(outcome.value, cause=Cause("webhook", actor="hyperswitch"), at=at)


def run_sweep(subscription: Subscription, at: datetime) -> Subscription:
    """Run the sweep at `at`; if it sent a charge, apply the update of it."""
    run_due(subscription.pk, cause=SWEEP, at=at)
    for payment in payments_of(subscription):
        if payment.status == "pending" and payment.off_session:
            deliver_update(payment, at=at)
    subscription.refresh_from_db()
    return subscription


def payments_of(subscription: Subscription) -> list[Payment]:
    return list(Payment.objects.filter(correlation_id=subscription.pk).order_by("pk"))


def last_payment(subscription: Subscription) -> Payment:
    return payments_of(subscription)[-1]


def invoices_of(subscription: Subscription) -> list[SubscriptionInvoice]:
    return list(subscription.invoices.order_by("period_start_at"))


def last_invoice(subscription: Subscription) -> SubscriptionInvoice:
    return invoices_of(subscription)[-1]


def gives_access(subscription: Subscription, at: datetime) -> bool:
    row = Subscription.objects.select_related("plan").get(pk=subscription.pk)
    return effective_payment(row, at=at) is not None


def set_charge_outcome(sandbox, outcome: str, subscription: Subscription) -> None:
    """How a charge of the saved method ends: succeeded, failed, processing."""
    sandbox.control(f"customers/cus_{subscription.user_id.hex}", off_session_outcome=outcome)


def activate_by_webhook(sandbox) -> Subscription:
    """A subscription that a webhook made active, in real time."""
    subscription = subscribe(PlanFactory())
    sandbox.pay(last_payment(subscription).provider_key)
    deliver_payment(last_payment(subscription))
    subscription.refresh_from_db()
    return subscription


def refund_invoice(invoice: SubscriptionInvoice, amount_minor: int | None = None) -> Refund:
    """A refund that support requested and sent."""
    refund = request_refund(
        refund_id=new_id(),
        invoice_id=invoice.pk,
        amount_minor=amount_minor,
        reason="The subscriber asked for it.",
        requested_by_id=invoice.subscription.user_id,
        cause=BY_USER,
    )
    refund.refresh_from_db()
    return refund


def is_proved(subscription: Subscription) -> bool:
    return all(prove_payment(payment).is_balanced for payment in payments_of(subscription))


def client_of(user: User) -> APIClient:
    client = APIClient(raise_request_exception=False)
    client.force_authenticate(user)
    return client


def days(number: float) -> timedelta:
    return timedelta(days=number)
