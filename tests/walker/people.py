"""What buyers and sellers do with nothing but allowed calls, in good faith and in bad.

A step returns what it did, or None when there is nothing to do it to. What a rule refuses is done, too.
"""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from connect.payouts import request_payout
from marketplace.cart import add_item, check_out
from marketplace.catalogue import change_product
from marketplace.models import LicenseOffer, Order, OrderItem, Product, RefundApplication
from marketplace.offers import OrderLine
from marketplace.orders import request_order
from marketplace.refund_applications import withdraw_application
from marketplace.refunds import RefundRequest, request_refund
from marketplace.standing import is_money_held
from tests.buying import BY_BUYER
from tests.walker.fairness import payouts_of_what_may_be_given_back
from tests.walker.world import World
from veza.core.errors import NotAllowed
from veza.core.ids import new_id
from veza.core.models import User

MOST_ORDERS = 6
# Hyperswitch refuses more of one payment.
MOST_REFUNDS = 10
# How long people wait for a window, or for maturity, to be over: before, at, and after it.
DAYS = (1, 6, 13, 14, 15, 40)


def allowed(perform: Callable[[], Any]) -> str:
    """The result of a request in a word: done, or the code of the rule that refused it."""
    try:
        perform()
    except NotAllowed as error:
        return f"refused: {error.code}"
    return "done"


def _if_open(who: User, perform: Callable[[], Any]) -> str:
    """As `allowed`, by somebody who has to log in for it: staff may have closed the account."""
    is_open = User.objects.filter(pk=who.pk, closed_at=None).exists()
    return allowed(perform) if is_open else "the account is closed"


# Buyers


def buy(world: World) -> str | None:
    """One to three items, of as many sellers at most."""
    if Order.objects.count() >= MOST_ORDERS:
        return None
    offers = world.rng.sample(world.offers, world.rng.randint(1, 3))
    lines = [OrderLine(offer.product_id, offer.license) for offer in offers]
    buyer = world.rng.choice(world.buyers)
    result = allowed(lambda: request_order(order_id=new_id(), buyer=buyer, lines=lines, cause=BY_BUYER))
    return f"{len(lines)} items: {result}"


def buy_from_cart(world: World) -> str | None:
    if Order.objects.count() >= MOST_ORDERS:
        return None
    buyer, offers = world.rng.choice(world.buyers), world.rng.sample(world.offers, world.rng.randint(1, 3))
    lines = [OrderLine(offer.product_id, offer.license) for offer in offers]
    results = [allowed(partial(add_item, owner=buyer, line=line)) for line in lines]
    results.append(allowed(partial(check_out, order_id=new_id(), owner=buyer, cause=BY_BUYER)))
    return f"{buyer.email} {results}"


def buy_again(world: World) -> str | None:
    """A buyer orders a work that they have ordered before, or another licence of it."""
    if Order.objects.count() >= MOST_ORDERS or not (items := list(OrderItem.objects.order_by("pk"))):
        return None
    item = world.rng.choice(items)
    own = [offer for offer in world.offers if offer.product_id == item.offer.product_id]
    return place_order(item.order.buyer, world.rng.choice(own), order_id=new_id())


def buy_exclusive(world: World) -> str | None:
    if Order.objects.count() >= MOST_ORDERS:
        return None
    return place_order(world.rng.choice(world.buyers), world.exclusive, order_id=new_id())


def place_order(buyer: User, offer: LicenseOffer, *, order_id: UUID) -> str:
    """An order of one item."""
    lines = [OrderLine(offer.product_id, offer.license)]
    return f"{offer}: {allowed(lambda: request_order(order_id=order_id, buyer=buyer, lines=lines, cause=BY_BUYER))}"


def give_back(world: World) -> str | None:
    """A buyer gives back one, some or all items of an order."""
    if not (order := _any_completed(world)):
        return None
    items = list(order.items.order_by("pk"))
    some = world.rng.sample(items, world.rng.randint(1, len(items)))
    return ask_refund(order, order.buyer, item_ids=[item.pk for item in some])


def give_almost_all_back(world: World) -> str | None:
    """A buyer asks for all but one cent, to keep the work."""
    if not (order := _any_completed(world)) or order.total_minor < 2:
        return None
    return ask_refund(order, order.buyer, amount_minor=order.total_minor - 1)


def withdraw_request(world: World) -> str | None:
    """A buyer does not want support to decide any more."""
    if not (rows := list(RefundApplication.objects.select_related("order__buyer").order_by("pk"))):
        return None
    row = world.rng.choice(rows)
    params: dict[str, Any] = {"application_id": row.pk, "buyer": row.order.buyer}
    return _if_open(row.order.buyer, lambda: withdraw_application(**params, cause=BY_BUYER))


# Sellers


def be_generous(world: World) -> str | None:
    """A seller gives back part of the price of one of their items, and the buyer keeps the work."""
    if not (order := _any_completed(world)):
        return None
    item = world.rng.choice(list(order.items.order_by("pk")))
    amount = world.rng.randint(1, max(1, item.total_minor))
    return ask_refund(order, item.seller, item_ids=[item.pk], amount_minor=amount)


def nibble(world: World) -> str | None:
    """A seller gives back a cent, again and again, so that no refund is left to anybody else."""
    if not (order := _any_completed(world)):
        return None
    item = world.rng.choice(list(order.items.order_by("pk")))
    results = []
    for _ in range(MOST_REFUNDS):
        results.append(ask_refund(order, item.seller, item_ids=[item.pk], amount_minor=1))
        settle(world)
    return "; ".join(results)


def cash_out(world: World) -> str | None:
    """A seller asks for all that their account at Stripe has, or for some of it."""
    return take_out(world, world.rng.choice(world.sellers))


def take_out(world: World, seller: User) -> str | None:
    balance = world.balance_of(seller)
    if balance <= 0:
        return None
    amount = world.rng.choice((balance, balance, world.rng.randint(1, balance)))
    params: dict[str, Any] = {"seller_id": seller.pk, "amount_minor": amount, "currency": "EUR"}
    is_held = is_money_held(seller.pk)
    result = _if_open(seller, lambda: request_payout(payout_id=new_id(), **params, cause=BY_BUYER))
    if is_held and result == "done":
        world.bugs.append(f"{seller.email} was paid out while staff held their money")
    world.bugs += payouts_of_what_may_be_given_back(world, seller)
    return f"{seller.email} {amount}: {result}"


def take_off_sale(world: World) -> str:
    return _publish(world, published=False)


def put_on_sale(world: World) -> str:
    return _publish(world, published=True)


def _publish(world: World, *, published: bool) -> str:
    work: Product = world.rng.choice(world.offers).product
    params: dict[str, Any] = {"product_id": work.pk, "seller": work.seller}
    return _if_open(work.seller, lambda: change_product(**params, changes={"published": published}, offers=[]))


# Banks and time


def settle_payout(world: World) -> str | None:
    """The bank's word about a payout: it arrived, or it is returned."""
    payouts = world.open_payouts()
    if not payouts:
        return None
    payout_id, status = world.rng.choice(payouts), world.rng.choice(("paid", "paid", "in_transit", "failed"))
    world.sandbox.control(f"payouts/{payout_id}", status=status)
    return f"{payout_id} {status}"


def pass_days(world: World) -> str:
    days = world.rng.choice(DAYS)
    world.pass_time(timedelta(days=days))
    world.sweep()
    return f"{days} days, all sweeps"


def settle(world: World) -> None:
    """The bank answers every pending refund with yes, and the mail arrives."""
    for refund in world.remote("refunds"):
        if refund["status"] == "pending":
            world.sandbox.control(f"refunds/{refund['refund_id']}", status="succeeded")
    world.deliver_all()


def settle_and_work(world: World) -> str:
    settle(world)
    world.sweep()
    return "settled"


def _any_completed(world: World) -> Order | None:
    orders = list(Order.objects.filter(status__in=("completed", "refund_pending")).order_by("pk"))
    return world.rng.choice(orders) if orders else None


def ask_refund(order: Order, who: User, **what: Any) -> str:
    wish = RefundRequest(reason="It does not open.", **what)
    params: dict[str, Any] = {"refund_id": new_id(), "order_id": order.pk, "requested_by": who}
    result = _if_open(who, lambda: request_refund(**params, refund_request=wish, cause=BY_BUYER))
    return f"{who.email} {what}: {result}"
