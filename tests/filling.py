"""Tables as full as after years, filled by the database itself: for tests of plans and for benchmarks."""

from typing import Any

from django.db import connection

from tests.database_roles import as_owner
from veza.core.models import User


def fill(statement: str, **parameters: Any) -> None:
    with as_owner(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0") if connection.in_atomic_block else None
        cursor.execute(statement, parameters)


def fill_catalogue(products: int, *, sellers: int = 100) -> None:
    """Products of two offers each, one second apart; every tenth is not published. Every seller has a paid plan."""
    fill(
        """
        INSERT INTO core_user (id, email, name, password, is_staff, is_superuser, is_active, created_at)
        SELECT md5('seller' || n)::uuid, 'creator' || n || '@example.com', 'Creator ' || n, repeat('x', 88),
               false, false, true, now()
        FROM generate_series(0, %(sellers)s - 1) AS n
        """,
        sellers=sellers,
    )
    fill_plans(sellers)
    fill(
        """
        INSERT INTO marketplace_product (id, seller_id, title, description, published, created_at)
        SELECT md5('product' || n)::uuid, md5('seller' || n %% %(sellers)s)::uuid, 'Work ' || md5(n::text),
               repeat('A work. ', 30), n %% 10 < 9, now() - n * interval '1 second'
        FROM generate_series(0, %(products)s - 1) AS n
        """,
        products=products,
        sellers=sellers,
    )
    fill(
        """
        INSERT INTO marketplace_licenseoffer
            (id, product_id, license, price_minor, currency, tax_basis_points, rights, active)
        SELECT md5(license || n)::uuid, md5('product' || n)::uuid, license, 1000 + n %% 9000, 'EUR', 2000, '{}', true
        FROM generate_series(0, %(products)s - 1) AS n, unnest(ARRAY['personal', 'commercial']) AS license
        """,
        products=products,
    )
    fill("ANALYZE core_user, marketplace_product, marketplace_licenseoffer, user_subscriptions, subscription_invoices")


def fill_plans(sellers: int) -> None:
    """A plan that includes selling, and for each seller of a catalogue a subscription with twelve paid invoices."""
    fill(
        """
        INSERT INTO subscriptions_plan (id, name, price_minor, currency, interval, trial_days, can_sell_on_marketplace,
                                        active, created_at)
        VALUES (md5('plan')::uuid, 'Filled', 1000, 'EUR', 'month', 0, true, true, now())
        ON CONFLICT DO NOTHING
        """
    )
    fill(
        """
        INSERT INTO user_subscriptions (id, user_id, plan_id, status, period_start_at, period_end_at, anchor_day,
                                        cancel_at_period_end, hyperswitch_customer_id, hyperswitch_payment_method_id,
                                        created_at)
        SELECT md5('subscription' || n)::uuid, md5('seller' || n)::uuid, md5('plan')::uuid, 'active',
               now() - interval '10 days', now() + interval '20 days', 1, false, '', '', now()
        FROM generate_series(0, %(sellers)s - 1) AS n
        """,
        sellers=sellers,
    )
    fill(
        """
        INSERT INTO subscription_invoices (id, subscription_id, plan_id, period_start_at, period_end_at, net_minor,
                                           tax_minor, total_minor, currency, status, paid_at, hyperswitch_payment_id,
                                           created_at)
        SELECT md5('invoice' || n || '-' || month)::uuid, md5('subscription' || n)::uuid, md5('plan')::uuid,
               now() - interval '10 days' - month * interval '30 days',
               now() + interval '20 days' - month * interval '30 days',
               1000, 0, 1000, 'EUR', 'paid', now(), 'pay_' || md5('invoice' || n || '-' || month), now()
        FROM generate_series(0, %(sellers)s - 1) AS n, generate_series(0, 11) AS month
        """,
        sellers=sellers,
    )


def fill_orders(buyer: User, orders: int) -> None:
    """Completed orders of `buyer`, one second apart, each of two products of a catalogue, with payment and licences."""
    fill(
        """
        INSERT INTO orders (id, buyer_id, status, subtotal_minor, tax_minor, total_minor, currency, created_at,
                            completed_at)
        SELECT md5('order' || n)::uuid, %(buyer)s, 'completed', 2000, 400, 2400, 'EUR',
               now() - n * interval '1 second', now()
        FROM generate_series(0, %(orders)s - 1) AS n
        """,
        buyer=buyer.pk,
        orders=orders,
    )
    fill(
        """
        INSERT INTO marketplace_orderitem (id, order_id, offer_id, seller_id, title, license, rights, net_minor,
                                           tax_minor, fee_minor, seller_minor, withheld)
        SELECT md5('item' || n || offer.license)::uuid, md5('order' || n)::uuid, offer.id, product.seller_id, title,
               offer.license, '{}', 1000, 200, 100, 900, false
        FROM generate_series(0, %(orders)s - 1) AS n
        JOIN marketplace_product AS product ON product.id = md5('product' || n %% 100)::uuid
        JOIN marketplace_licenseoffer AS offer ON offer.product_id = product.id
        """,
        orders=orders,
    )
    fill(
        """
        INSERT INTO payments_payment (id, purpose, purpose_id, correlation_id, payer_id, amount_minor, currency,
                                      description, return_url, session_seconds, status, received_minor,
                                      refunded_minor, disputed_minor, received_currency, hyperswitch_payment_id,
                                      payment_url, attempts, error_code, error_message, succeeded_at, created_at)
        SELECT md5('payment' || n)::uuid, 'order', md5('order' || n)::uuid, md5('order' || n)::uuid, %(buyer)s, 2400,
               'EUR', 'Work', 'https://shop.example/paid', 3600, 'succeeded', 2400, 0, 0, 'EUR', 'pay_' || n,
               'https://pay.example', 0, '', '', now(), now()
        FROM generate_series(0, %(orders)s - 1) AS n
        """,
        buyer=buyer.pk,
        orders=orders,
    )
    fill(
        """
        INSERT INTO licenses (id, item_id, order_id, offer_id, holder_id, status, exclusive, rights, created_at)
        SELECT md5(item.id::text)::uuid, item.id, order_id, offer_id, %(buyer)s, 'active', false, '{}', created_at
        FROM marketplace_orderitem AS item JOIN orders ON orders.id = order_id
        ON CONFLICT DO NOTHING
        """,
        buyer=buyer.pk,
    )
    fill("ANALYZE orders, marketplace_orderitem, payments_payment, licenses")


def fill_transfers(seller: User) -> None:
    """A completed transfer to `seller` for each order of `fill_orders`."""
    fill(
        """
        INSERT INTO seller_transfers (id, order_id, seller_id, seq, amount_minor, withheld_minor, currency, status,
                                      destination, reversal_target_minor, reversed_minor, external_reversed_minor,
                                      offset_minor, unwound_minor, key_epoch, send_attempts, waiting_for, retry_count,
                                      last_error, created_at, completed_at)
        SELECT md5('transfer' || id)::uuid, id, %(seller)s, 1, 900, 0, 'EUR', 'completed', '', 0, 0, 0, 0, 0, 0, 1, '',
               0, '', created_at, created_at
        FROM orders
        ON CONFLICT DO NOTHING
        """,
        seller=seller.pk,
    )
    fill("ANALYZE seller_transfers")


def fill_postings(codes: list[str], postings: int) -> None:
    """Postings of 9.00 from `unapplied` to the accounts `codes` in turn, all in the name of one payment, ten of
    each transaction.
    """
    fill(
        "INSERT INTO payments_ledgeraccount (code) SELECT unnest(%(codes)s::text[]) ON CONFLICT DO NOTHING", codes=codes
    )
    fill(
        """
        INSERT INTO payments_posting (id, debit_id, credit_id, amount_minor, currency, kind, subject_id, number, leg,
                                      payment_id, correlation_id, at, xact_id)
        SELECT md5('posting' || n)::uuid, 'unapplied', (%(codes)s::text[])[1 + n %% cardinality(%(codes)s::text[])],
               900, 'EUR', 'applied', md5('subject' || n)::uuid, 0, 'a', payment.id, payment.correlation_id, now(),
               n / 10
        FROM generate_series(0, %(postings)s - 1) AS n
        CROSS JOIN (SELECT id, correlation_id FROM payments_payment LIMIT 1) AS payment
        """,
        codes=codes,
        postings=postings,
    )
    fill("ANALYZE payments_posting")
