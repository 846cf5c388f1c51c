"""Everything that may happen in a walk: what buyers and sellers do, the mail, time, and the workers.

A walk is of all that may happen, or of people alone: they meet no fault, so that the walk has room for their tricks.

A step returns what it did, or None when there is nothing to do it to. What a rule refuses is done, too.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.utils import timezone

from marketplace.models import Order
from marketplace.order_payments import cancel_order, request_payment
from marketplace.refunds import RefundRequest, request_refund
from payments.models import Payment
from subscriptions.subscribing import request_subscription
from tests.buying import BY_BUYER
from tests.walker import operators, people, providers, puppets
from tests.walker.people import allowed
from tests.walker.world import MONEY_SWEEPS, World
from veza.core.ids import new_id

Walk = Callable[[World], str | None]


# Buyers and sellers


def subscribe(world: World) -> str:
    user = world.rng.choice([*world.sellers, *world.buyers])
    params: dict[str, Any] = {"subscription_id": new_id(), "user": user, "plan_id": world.plan.pk}
    return allowed(lambda: request_subscription(**params, cause=BY_BUYER, at=timezone.now()))


def cancel(world: World) -> str | None:
    orders = list(Order.objects.filter(status="pending").order_by("pk"))
    return allowed(lambda: cancel_order(order_id=world.rng.choice(orders).pk, cause=BY_BUYER)) if orders else None


def pay_again(world: World) -> str | None:
    """A buyer asks for the page of an unpaid order: the open one, or another after a decline."""
    orders = list(Order.objects.filter(status__in=("pending", "failed", "expired")).order_by("pk"))
    if not orders:
        return None
    order = world.rng.choice(orders)
    result = allowed(lambda: request_payment(order_id=order.pk, payment_id=new_id(), cause=BY_BUYER))
    return f"{order.status}: {result}"


def refund(world: World) -> str | None:
    """By the buyer, one of the sellers, or support: all that is left, some items, or an amount."""
    orders = list(Order.objects.filter(status__in=("completed", "refund_pending")).order_by("pk"))
    if not orders:
        return None
    order = world.rng.choice(orders)
    items = list(order.items.order_by("pk"))
    who = world.rng.choice([order.buyer, world.rng.choice(items).seller, world.support])
    what: dict[str, Any] = world.rng.choice(
        [{}, {"item_ids": [world.rng.choice(items).pk]}, {"amount_minor": world.rng.randint(1, order.total_minor)}]
    )
    params: dict[str, Any] = {"refund_id": new_id(), "order_id": order.pk, "requested_by": who}
    wish = RefundRequest(reason="It does not open.", **what)
    result = allowed(lambda: request_refund(**params, refund_request=wish, cause=BY_BUYER))
    return f"{who.email} {what}: {result}"


# The mail


def deliver_next(world: World) -> str | None:
    """Up to three webhooks, in their order."""
    mail = world.mail()
    return "; ".join(world.deliver(event) for event in mail[: world.rng.randint(1, 3)]) if mail else None


def deliver_any(world: World) -> str | None:
    """One webhook before those that should have come first."""
    mail = world.mail()
    return world.deliver(world.rng.choice(mail)) if mail else None


def deliver_reversed(world: World) -> str | None:
    """Everything that is on its way, the newest first."""
    mail = world.mail()
    return "; ".join(world.deliver(event) for event in reversed(mail)) if mail else None


def repeat(world: World) -> str | None:
    """A webhook that was delivered before, with its old data."""
    mail = world.old_mail()
    return world.deliver(world.rng.choice(mail)) if mail else None


# Time


def work(world: World) -> str:
    world.sweep()
    return "all sweeps"


def work_once(world: World) -> str:
    name = world.rng.choice(MONEY_SWEEPS)
    world.sweep(name)
    return name


def pass_hours(world: World) -> str:
    hours = world.rng.choice((1, 2, 6, 25))
    world.pass_time(timedelta(hours=hours))
    world.sweep()
    return f"{hours} h, all sweeps"


def expire_page(world: World) -> str | None:
    """A payment page's session ends, and the worker closes it."""
    open_pages = list(Payment.objects.filter(close_due_at__isnull=False).order_by("pk"))
    known = {payment["payment_id"] for payment in world.remote("payments")}
    pages = [payment for payment in open_pages if payment.provider_key in known]
    if not pages:
        return None
    payment = world.rng.choice(pages)
    world.sandbox.control(f"payments/{payment.provider_key}", expire=True)
    world.pass_time(timedelta(seconds=payment.session_seconds) + timedelta(minutes=6))
    world.sweep("payments.close_unpaid")
    return payment.provider_key


@dataclass(frozen=True)
class Step:
    """One kind of step, and how often it is chosen compared to the others."""

    run: Walk
    weight: int

    @property
    def name(self) -> str:
        return self.run.__name__


STEPS = [
    Step(people.buy, 4),
    Step(people.buy_from_cart, 1),
    Step(people.give_back, 2),
    Step(people.cash_out, 3),
    Step(puppets.play_both_sides, 1),
    Step(operators.decide, 2),
    Step(people.settle_payout, 2),
    Step(subscribe, 1),
    Step(cancel, 1),
    Step(pay_again, 4),
    Step(refund, 8),
    Step(deliver_next, 10),
    Step(deliver_any, 4),
    Step(deliver_reversed, 2),
    Step(repeat, 2),
    Step(work, 4),
    Step(work_once, 2),
    Step(pass_hours, 4),
    Step(expire_page, 2),
    Step(providers.pay, 8),
    Step(providers.pay_other_amount, 2),
    Step(providers.pay_foreign, 1),
    Step(providers.decline, 2),
    Step(providers.receive_later, 1),
    Step(providers.receive_more, 1),
    Step(providers.void, 2),
    Step(providers.void_in_part, 1),
    Step(providers.change_currency, 1),
    Step(providers.review_payment, 1),
    Step(providers.succeed_without_amount, 1),
    Step(providers.report_amount, 1),
    Step(providers.settle_refund, 8),
    Step(providers.settle_refund_otherwise, 1),
    Step(providers.review_refund, 1),
    Step(providers.return_refund, 2),
    Step(providers.succeed_after_all, 1),
    Step(providers.refund_at_dashboard, 3),
    Step(providers.refund_abroad, 1),
    Step(providers.dispute, 4),
    Step(providers.dispute_abroad, 1),
    Step(providers.dispute_a_cent, 1),
    Step(providers.decide_dispute, 6),
    Step(providers.change_dispute, 1),
    Step(providers.break_hyperswitch, 3),
    Step(providers.break_stripe, 4),
    Step(providers.reverse_at_dashboard, 3),
    Step(providers.change_account, 2),
    Step(providers.drain_balance, 3),
    Step(providers.fill_balances, 2),
    Step(operators.act, 6),
    Step(operators.import_refund, 1),
    Step(operators.enter_amount, 2),
    Step(operators.convert, 2),
    Step(operators.write_off, 3),
]
PEOPLE = [
    Step(people.buy, 6),
    Step(people.buy_from_cart, 3),
    Step(people.buy_again, 3),
    Step(people.buy_exclusive, 3),
    Step(providers.pay, 10),
    Step(providers.decline, 1),
    Step(people.give_back, 8),
    Step(people.give_almost_all_back, 3),
    Step(people.be_generous, 3),
    Step(people.nibble, 2),
    Step(people.cash_out, 8),
    Step(people.take_off_sale, 1),
    Step(people.put_on_sale, 1),
    Step(people.withdraw_request, 1),
    Step(puppets.play_both_sides, 5),
    Step(puppets.take_hostage, 2),
    Step(people.settle_payout, 4),
    Step(people.pass_days, 3),
    Step(subscribe, 1),
    Step(cancel, 2),
    Step(pay_again, 2),
    Step(deliver_next, 10),
    Step(deliver_reversed, 2),
    Step(repeat, 1),
    Step(work, 5),
    Step(pass_hours, 2),
    Step(providers.settle_refund, 6),
    Step(operators.refund_for_buyer, 1),
    Step(operators.decide, 8),
]
BY_NAME = {step.name: step for step in (*STEPS, *PEOPLE)}
