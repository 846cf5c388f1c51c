"""A history of orders: two stories are told through the code, and copied row by row with ids of their own.

One is an order of two items of two sellers that was paid, the other one that waits for its payment's webhook.
"""

import re
from dataclasses import dataclass
from uuid import UUID

from django.db import connection

from connect.models import SellerTransfer
from marketplace.models import License, Order, OrderItem
from payments.models import Payment, Posting, WebhookDelivery
from tests.buying import order_of, payment_of
from tests.factories import OfferFactory, PersonFactory, SellerFactory
from veza.core.ids import new_id, provider_id, row_id
from veza.core.models import StatusChange

TABLES = (Order, OrderItem, Payment, License, SellerTransfer, Posting, StatusChange, WebhookDelivery)
PRICES = (10_00, 5_00)


@dataclass(frozen=True)
class Story:
    """The rows of one order as text, in pieces between the ids in them."""

    pieces: dict[str, list[str]]
    ids: list[str]


def tell_order(sellers: int = 2) -> Order:
    """An order of two items whose payment page exists."""
    return order_of(*(OfferFactory(price_minor=price) for price in PRICES[:sellers]), buyer=PersonFactory())


def rows_of(order: Order) -> dict[str, list[UUID]]:
    """Table name to the keys of the order's rows."""
    payment = payment_of(order)
    owned = {
        Order: Order.objects.filter(pk=order.pk),
        OrderItem: order.items.all(),
        Payment: Payment.objects.filter(pk=payment.pk),
        License: order.licenses.all(),
        SellerTransfer: order.transfers.all(),
        Posting: Posting.objects.filter(correlation_id=order.pk),
        StatusChange: StatusChange.objects.filter(correlation_id=order.pk),
        WebhookDelivery: WebhookDelivery.objects.filter(correlation_id=order.pk),
    }
    return {model._meta.db_table: list(owned[model].values_list("pk", flat=True)) for model in TABLES}


def read_story(order: Order) -> Story:
    """The order's rows, as COPY writes them. The rows of catalogue and buyer are shared by all copies."""
    rows = rows_of(order)
    own = {str(key) for keys in rows.values() for key in keys}
    own |= {payment_of(order).provider_key, str(payment_of(order).pk)}
    with connection.cursor() as cursor:
        text = {table: _copied(cursor, table, keys) for table, keys in rows.items() if keys}
    own |= set(re.findall(r"evt_[0-9a-f]{32}", "".join(text.values())))
    sellers = [str(item.seller_id) for item in order.items.order_by("net_minor")]
    ids = [*sorted(own), *sellers]
    pattern = re.compile("|".join(map(re.escape, sorted(ids, key=len, reverse=True))))
    numbers = {one: str(number) for number, one in enumerate(ids)}
    pieces = {
        table: re.split(r"\x00", pattern.sub(lambda hit: f"\x00{numbers[hit[0]]}\x00", raw))
        for table, raw in text.items()
    }
    return Story(pieces, ids)


def _copied(cursor, table: str, keys: list[UUID]) -> str:
    where = ", ".join(f"'{key}'" for key in keys)
    with cursor.copy(f"COPY (SELECT * FROM {table} WHERE id IN ({where})) TO STDOUT") as copy:
        return b"".join(bytes(part) for part in copy).decode()


def make_sellers(number: int) -> list[str]:
    return [str(SellerFactory().pk) for _ in range(number)]


def copy_story(story: Story, times: int, sellers: list[str]) -> list[UUID]:
    """Write `times` copies, each of another pair of `sellers`. Returns the payments' ids, in the order of writing."""
    payment_at = next(n for n, one in enumerate(story.ids) if one.startswith("pay_"))
    pay_row_at = story.ids.index(str(row_id("pay", story.ids[payment_at])))
    copies, payments = [], []
    for number in range(times):
        fresh = [str(new_id()) if len(one) == 36 else one for one in story.ids]
        fresh[payment_at] = provider_id("pay", UUID(fresh[pay_row_at]))
        fresh = [f"evt_{new_id().hex}" if one.startswith("evt_") else one for one in fresh]
        fresh[-2:] = sellers[number * 2 % len(sellers)], sellers[(number * 2 + 1) % len(sellers)]
        copies.append(fresh)
        payments.append(UUID(fresh[pay_row_at]))
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0; SET session_replication_role = replica")
        for table, pieces in story.pieces.items():
            with cursor.copy(f"COPY {table} FROM STDIN") as copy:
                for fresh in copies:
                    copy.write("".join(fresh[int(one)] if n % 2 else one for n, one in enumerate(pieces)))
        cursor.execute("SET session_replication_role = origin")
    return payments


def analyze() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        cursor.execute("VACUUM (ANALYZE)")
