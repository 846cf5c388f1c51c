"""Each invariant about people can fail: a small shop in which all is fair, damaged in one way after the other."""

from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from marketplace import refund_applications
from marketplace.models import Order
from tests.database_roles import as_owner
from tests.subscriptions.subscribing import activate
from tests.walker import fairness, people
from tests.walker.fairness import unfairness
from tests.walker.people import ask_refund, place_order, settle_and_work, take_out
from tests.walker.world import World, open_shop
from veza.core.errors import NotAllowed
from veza.core.ids import new_id

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(sandbox, settings) -> World:
    """An exclusive licence and a personal one of the first seller, sold; and one of the second, given back."""
    world = open_shop(sandbox, settings)
    for buyer, offer in zip(world.buyers, (world.exclusive, world.offers[1], world.offers[3]), strict=False):
        place_order(buyer, offer, order_id=(order_id := new_id()))
        world.pay_order(order_id)
    world.deliver_all()
    ask_refund(Order.objects.last(), world.buyers[2])
    settle_and_work(world)
    return world


def damage(sql: str) -> None:
    """Change rows as no code of ours does: `:exclusive`, `:personal` and `:returned` stand for the three orders."""
    for name, order in zip((":exclusive", ":personal", ":returned"), Order.objects.order_by("pk"), strict=True):
        sql = sql.replace(name, f"'{order.pk}'")
    with as_owner(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(sql)
        assert cursor.rowcount > 0, "the damage was done"
        cursor.execute("SET LOCAL session_replication_role = origin")


DAMAGES = {
    "holds goods of": "UPDATE licenses SET status = 'active' WHERE order_id = :returned",
    "gave no licence": "DELETE FROM licenses WHERE order_id = :personal",
    "of its price came back": "UPDATE licenses SET status = 'revoked' WHERE order_id = :personal",
    "has 5399 of orders that pay": "UPDATE marketplace_orderitem SET fee_minor = net_minor - 1, seller_minor = 1"
    " WHERE order_id = :exclusive",
    "cannot give back": "UPDATE orders SET status = 'cancelled' WHERE id = :personal",
    "beside its exclusive licence": "UPDATE licenses SET offer_id = (SELECT o.id FROM marketplace_licenseoffer o"
    " JOIN marketplace_licenseoffer e ON e.product_id = o.product_id WHERE e.license = 'exclusive' AND o.id <> e.id)"
    " WHERE order_id = :personal",
    "which is sold to each buyer once": "UPDATE licenses SET (offer_id, holder_id) = (SELECT offer_id, holder_id"
    " FROM licenses WHERE order_id = :exclusive) WHERE order_id = :personal",
    "staff had taken it off sale": "UPDATE marketplace_product SET taken_off_sale_at = now() - interval '1 day'",
    "its seller was suspended": "INSERT INTO marketplace_sellerrestriction (id, seller_id, kind, reason, imposed_by,"
    " since_at, ended_by, end_reason) SELECT gen_random_uuid(), seller_id, 'suspension', 'x', 'x',"
    " now() - interval '1 day', '', '' FROM marketplace_orderitem WHERE order_id = :personal",
    "whose account was closed": "UPDATE core_user SET closed_at = now() - interval '1 day', is_active = false"
    " WHERE id = (SELECT buyer_id FROM orders WHERE id = :personal)",
}


def test_each_kind_of_damage_is_named(world):
    assert unfairness(world) == []
    missed = []
    for sentence, sql in DAMAGES.items():
        point = transaction.savepoint()
        damage(sql)
        found = unfairness(world)
        if not any(sentence in fault for fault in found):
            missed.append((sentence, found))
        transaction.savepoint_rollback(point)

    assert missed == []


class Refused(NotAllowed):
    code = "refused_by_this_test"


def refuse(*_args, **_fields) -> None:
    raise Refused("No.")


def test_whoever_is_stopped_is_named(world, sandbox, monkeypatch):
    activate(sandbox, at=timezone.now())
    verbs = {
        "place_refund": "cannot give back",
        "place_order": "no one can order",
        "change_product": "off sale: refused_by_this_test",
        "cancel": "cannot be cancelled",
    }
    for verb, sentence in verbs.items():
        with monkeypatch.context() as broken:
            broken.setattr(fairness, verb, refuse)
            assert any(sentence in fault for fault in unfairness(world)), verb


def test_a_seller_who_is_paid_out_too_early_is_named(world, settings):
    settings.PAYOUT_AFTER = timedelta(0)

    take_out(world, world.sellers[0])

    assert any("buyers may still give back" in bug for bug in world.bugs)


def test_a_seller_who_is_paid_out_while_held_is_named(world, settings, monkeypatch):
    settings.PAYOUT_AFTER = timedelta(0)
    monkeypatch.setattr(people, "is_money_held", lambda seller_id: True)

    take_out(world, world.sellers[0])

    assert any("while staff held their money" in bug for bug in world.bugs)


def test_an_exclusive_licence_given_back_twice_is_named(world, settings, monkeypatch):
    settings.SELF_SERVICE_REFUNDS_PER_30_DAYS = 0
    monkeypatch.setattr(refund_applications, "_is_exclusive_given_back_before", lambda order, items: False)
    holder, first = world.buyers[0], Order.objects.order_by("pk").first()
    ask_refund(first, holder)
    settle_and_work(world)
    place_order(holder, world.exclusive, order_id=(order_id := new_id()))
    world.pay_order(order_id)
    world.deliver_all()
    ask_refund(Order.objects.get(pk=order_id), holder)
    settle_and_work(world)

    assert any("times without support" in fault for fault in unfairness(world))
