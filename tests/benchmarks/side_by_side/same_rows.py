"""The floor under any webhook: one stored function that writes the same rows, made from what a delivery wrote.

It decides nothing and checks nothing. Its statements are generated from a real delivery's rows, so that it stays equal
to the code whatever the schema becomes.
"""

import json
from typing import Any
from uuid import UUID

from django.db import connection

from marketplace.models import Order
from payments.models import Payment
from tests.benchmarks.side_by_side.stories import rows_of
from tests.buying import deliver_payment, payment_of

Row = dict[str, str | None]
FUNCTION = """
CREATE OR REPLACE FUNCTION bench_settle(todo bigint) RETURNS void LANGUAGE plpgsql AS $body$
DECLARE p {payment}; o {orders}; s0 uuid; s1 uuid; i0 uuid; i1 uuid;
BEGIN
  SELECT * INTO p FROM {payment} WHERE id = (SELECT payment_id FROM bench_todo WHERE n = todo) FOR UPDATE;
  SELECT * INTO o FROM {orders} WHERE id = p.purpose_id FOR UPDATE;
  SELECT id, seller_id INTO i0, s0 FROM {items} WHERE order_id = o.id AND net_minor = {low};
  SELECT id, seller_id INTO i1, s1 FROM {items} WHERE order_id = o.id AND net_minor = {high};
{statements}
END $body$;
DROP TABLE IF EXISTS bench_todo; CREATE TABLE bench_todo (n bigint PRIMARY KEY, payment_id uuid NOT NULL);
DROP SEQUENCE IF EXISTS bench_turn; CREATE SEQUENCE bench_turn CACHE 100;
"""


def make_function(order: Order) -> int:
    """Deliver the success of `order`, and write the function that does the same. Returns how many rows it writes."""
    payment = payment_of(order)
    before = _read(order)
    assert deliver_payment(payment).status_code == 200
    after = _read(order)
    names = _names(order, payment)
    statements = []
    for table, rows in after.items():
        for key, row in rows.items():
            if key not in before[table]:
                statements.append(_insert(table, row, names))
            elif changed := {column: value for column, value in row.items() if before[table][key][column] != value}:
                statements.append(_update(table, key, changed, names))
    low, high = sorted(item.net_minor for item in order.items.all())
    tables = {"payment": Payment._meta.db_table, "orders": "orders", "items": order.items.model._meta.db_table}
    with connection.cursor() as cursor:
        cursor.execute(FUNCTION.format(statements="\n".join(statements), low=low, high=high, **tables))
    return len(statements)


def fill_todo(payments: list[UUID]) -> None:
    with connection.cursor() as cursor:
        with cursor.copy("COPY bench_todo FROM STDIN") as copy:
            for n, payment in enumerate(payments, 1):
                copy.write_row((n, payment))
        cursor.execute("ANALYZE bench_todo")


def _read(order: Order) -> dict[str, dict[str, Row]]:
    found: dict[str, dict[str, Row]] = {}
    with connection.cursor() as cursor:
        for table, keys in rows_of(order).items():
            cursor.execute(f"SELECT to_jsonb(t) FROM {table} AS t WHERE id = ANY(%s)", [keys])
            rows = [
                {column: _text(value) for column, value in row.items()}
                for row in (json.loads(text) for (text,) in cursor.fetchall())
            ]
            found[table] = {str(row["id"]): row for row in rows}
    return found


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value)


def _names(order: Order, payment: Payment) -> dict[str, str]:
    low, high = order.items.order_by("net_minor")
    return {
        str(payment.pk): "p.id",
        str(order.pk): "o.id",
        str(order.buyer_id): "o.buyer_id",
        str(low.pk): "i0",
        str(high.pk): "i1",
        str(low.seller_id): "s0",
        str(high.seller_id): "s1",
        payment.provider_key: "p.hyperswitch_payment_id",
    }


def _insert(table: str, row: Row, names: dict[str, str]) -> str:
    values = ["gen_random_uuid()" if column == "id" else _value(value, names) for column, value in row.items()]
    return f"  INSERT INTO {table} ({', '.join(f'{_q(c)}' for c in row)}) VALUES ({', '.join(values)});"


def _update(table: str, key: str, changed: Row, names: dict[str, str]) -> str:
    sets = ", ".join(f"{_q(column)} = {_value(value, names)}" for column, value in changed.items())
    return f"  UPDATE {table} SET {sets} WHERE id = {names[key]};"


def _value(value: str | None, names: dict[str, str]) -> str:
    """An SQL expression: the value, with the ids of the story replaced by the function's variables."""
    if value is None:
        return "NULL"
    if value in names:
        return names[value]
    if value.startswith("evt_"):
        return "'evt_' || replace(gen_random_uuid()::text, '-', '')"
    literal = "'" + value.replace("'", "''") + "'"
    for one, name in names.items():
        if one in value:
            literal = literal.replace(one, f"' || {name}::text || '")
    return literal


def _q(column: str) -> str:
    return f'"{column}"'
