"""What sellers do with the help of sock puppets: a puppet is a buyer like any other.

A step returns what it did, or None when there is nothing to do it to. What a rule refuses is done, too.
"""

from datetime import timedelta
from uuid import UUID

from marketplace.models import LicenseOffer, Order
from tests.walker.people import DAYS, MOST_ORDERS, ask_refund, place_order, settle_and_work, take_out
from tests.walker.world import World
from veza.core.ids import new_id
from veza.core.models import User


def play_both_sides(world: World) -> str | None:
    """A seller's puppet buys, the seller takes the money out at once or later, and the puppet gives it back."""
    if Order.objects.count() >= MOST_ORDERS:
        return None
    seller, puppet = world.rng.choice(list(zip(world.sellers, world.puppets, strict=True)))
    own = [offer for offer in world.offers if offer.product.seller_id == seller.pk]
    order_id, ordered = _buy(world, puppet, world.rng.choice(own))
    days = world.rng.choice((0, 0, *DAYS))
    world.pass_time(timedelta(days=days))
    taken = take_out(world, seller)
    return f"{seller.email}: {ordered}; after {days} days: {taken}; {_give_back(world, puppet, order_id)}"


def take_hostage(world: World) -> str | None:
    """A rival's puppet buys an exclusive licence and gives it back, again and again, so that no one else has it."""
    if Order.objects.count() >= MOST_ORDERS - 1:
        return None
    puppet, results = world.rng.choice(world.puppets), []
    for _ in range(2):
        order_id, ordered = _buy(world, puppet, world.exclusive)
        results += [ordered, _give_back(world, puppet, order_id)]
    return f"{puppet.email}: {'; '.join(results)}"


def _buy(world: World, puppet: User, offer: LicenseOffer) -> tuple[UUID, str]:
    order_id = new_id()
    result = place_order(puppet, offer, order_id=order_id)
    world.pay_order(order_id)
    world.deliver_all()
    world.sweep()
    return order_id, result


def _give_back(world: World, puppet: User, order_id: UUID) -> str:
    order = Order.objects.filter(pk=order_id, status="completed").first()
    result = ask_refund(order, puppet) if order is not None else "nothing to give back"
    return f"{result}, {settle_and_work(world)}"
