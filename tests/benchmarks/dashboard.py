"""The front page beside a million orders and a million deliveries, by hand: pytest tests/benchmarks/dashboard.py -s

ROWS=1000000 (the default) rows of each kind over a year. It prints the median and the slowest of twenty-five looks at
each page, and what the sums of a day's postings cost the worker.
"""

import os
import statistics
import time

import pytest
from django.db import connection
from django.test import Client

from veza.backoffice import flows
from veza.core.models import User

pytestmark = pytest.mark.django_db
ROWS = int(os.environ.get("ROWS", "1000000"))
LOOKS = 25
PAGES = {
    "dashboard": "/admin/",
    "orders": "/admin/marketplace/order/",
    "orders, refund pending": "/admin/marketplace/order/?status__exact=refund_pending",
    "orders, stuck": "/admin/marketplace/order/?stuck=yes",
    "orders of a week": "/admin/marketplace/order/?age=7d",
    "orders of a seller": "/admin/marketplace/order/?seller=seller7%40",
    "payments, mismatched": "/admin/payments/payment/?status__exact=mismatched",
    "transfers, given up": "/admin/connect/sellertransfer/?status__exact=permanently_failed",
    "deliveries": "/admin/payments/webhookdelivery/",
    "attacks": "/admin/payments/webhookdelivery/?signature=bad",
    "failed deliveries": "/admin/payments/webhookdelivery/?result=error",
    "search by e-mail": "/admin/search/?q=buyer77%40example.com",
    "search by last characters": "/admin/search/?q=0000beef",
}

# Ids as ours: milliseconds first. Everything is spread evenly over the year that ends now.
FILL = """
CREATE FUNCTION pg_temp.at(n bigint) RETURNS timestamptz LANGUAGE sql AS
  $$ SELECT now() - interval '1 year' * (1 - n::float8 / {rows}) $$;
CREATE FUNCTION pg_temp.v7(n bigint, salt text) RETURNS uuid LANGUAGE sql AS $$
  SELECT (lpad(to_hex((extract(epoch FROM pg_temp.at(n)) * 1000)::bigint), 12, '0') || '7'
    || substr(md5(salt || n), 1, 19))::uuid $$;
SET LOCAL session_replication_role = replica;
INSERT INTO core_user (id, email, name, password, is_superuser, is_staff, is_active, seller_since_at)
  SELECT pg_temp.v7(n, 'u'), CASE WHEN n <= 1000 THEN 'seller' ELSE 'buyer' END || n || '@example.com', 'N', '', false,
    false, true, CASE WHEN n <= 1000 THEN now() END FROM generate_series(1, 100000) n;
INSERT INTO orders (id, buyer_id, status, subtotal_minor, tax_minor, total_minor, currency, completed_at, created_at)
  SELECT pg_temp.v7(n, 'o'), pg_temp.v7(1001 + n % 99000, 'u'),
    CASE WHEN n % 50 = 0 THEN 'refunded' WHEN n % 37 = 0 THEN 'expired' WHEN n > {rows} - 200 THEN 'pending'
      WHEN n % 20011 = 0 THEN 'refund_pending' ELSE 'completed' END,
    1000, 200, 1200, 'EUR', pg_temp.at(n), pg_temp.at(n) FROM generate_series(1, {rows}) n;
INSERT INTO marketplace_orderitem (id, order_id, offer_id, seller_id, title, license, rights, net_minor, tax_minor,
    fee_minor, seller_minor, withheld)
  SELECT pg_temp.v7(n, 'i'), pg_temp.v7(n, 'o'), pg_temp.v7(n % 5000 + 1, 'x'), pg_temp.v7(n % 1000 + 1, 'u'), 'A work',
    'personal', '{{}}', 1000, 200, 100, 900, false FROM generate_series(1, {rows}) n;
INSERT INTO payments_payment (id, purpose, purpose_id, correlation_id, payer_id, amount_minor, currency, description,
    return_url, session_seconds, status, received_minor, refunded_minor, disputed_minor, payment_url, attempts,
    error_code, error_message, created_at, hyperswitch_payment_id)
  SELECT pg_temp.v7(n, 'p'), 'order', pg_temp.v7(n, 'o'), pg_temp.v7(n, 'o'), pg_temp.v7(1001 + n % 99000, 'u'), 1200,
    'EUR', '', 'https://x.example', 3600,
    CASE WHEN n % 37 = 0 THEN 'cancelled' WHEN n > {rows} - 200 THEN 'pending' WHEN n % 100003 = 0 THEN 'mismatched'
      ELSE 'succeeded' END, 1200, 0, 0, '', 0, '', '', pg_temp.at(n), 'pay_' || n FROM generate_series(1, {rows}) n;
INSERT INTO refunds (id, payment_id, correlation_id, amount_minor, currency, allocation, source, reason, status,
    posting_batches, attempts,
    error_code, error_message, created_at)
  SELECT pg_temp.v7(n, 'r'), pg_temp.v7(n, 'p'), pg_temp.v7(n, 'o'), 1200, 'EUR', '{{}}', 'buyer', '',
    CASE WHEN n % 20000 = 0 THEN 'pending' ELSE 'succeeded' END, 1, 0, '', '', pg_temp.at(n)
    FROM generate_series(50, {rows}, 50) n;
INSERT INTO seller_transfers (id, order_id, seller_id, seq, amount_minor, withheld_minor, currency, status,
    destination, stripe_transfer_id, reversal_target_minor, reversed_minor, key_epoch, send_attempts, waiting_for,
    retry_count, last_error, created_at, external_reversed_minor, offset_minor, unwound_minor)
  SELECT pg_temp.v7(n, 't'), pg_temp.v7(n, 'o'), pg_temp.v7(n % 1000 + 1, 'u'), 1, 900, 0, 'EUR',
    CASE WHEN n % 50 = 0 THEN 'reversed' WHEN n % 40013 = 0 THEN 'permanently_failed'
      WHEN n > {rows} - 300 THEN 'pending' ELSE 'completed' END,
    '', 'tr_' || n, 0, 0, 0, 1, '', 0, '', pg_temp.at(n), 0, 0, 0
    FROM generate_series(1, {rows}) n;
INSERT INTO webhook_log (id, provider, event_id, event_type, payload, payload_sha256, signature_valid,
    processing_result, user_agent, request_id, correlation_id, received_at, attempts)
  SELECT pg_temp.v7(n, 'w'), 'hyperswitch', 'evt_' || n, 'payment_succeeded', '{{}}', '', n % 5000 <> 0,
    CASE WHEN n % 5000 = 0 THEN 'signature_invalid' WHEN n % 3000 = 0 THEN 'error: x' ELSE 'ok' END, '', '',
    pg_temp.v7(n, 'o'), pg_temp.at(n), 1 FROM generate_series(1, {rows}) n;
INSERT INTO payments_posting (id, debit_id, credit_id, amount_minor, currency, kind, subject_id, number, leg,
    payment_id, correlation_id, at)
  SELECT pg_temp.v7(n, 'l' || leg), debit, credit, minor, 'EUR', kind, pg_temp.v7(n, 'l' || leg), 0, 'x',
    pg_temp.v7(n, 'p'), pg_temp.v7(n, 'o'), pg_temp.at(n)
  FROM generate_series({rows} * 11 / 12, {rows}) n, (VALUES (1, 'psp_clearing', 'unapplied', 1200, 'received'),
    (2, 'unapplied', 'platform_fee', 100, 'applied'), (3, 'unapplied', 'tax', 200, 'applied'),
    (4, 'unapplied', 'seller:0', 900, 'applied'), (5, 'seller:0', 'stripe_balance', 900, 'transfer'))
    AS legs(leg, debit, credit, minor, kind);
SET LOCAL session_replication_role = DEFAULT;
"""


def fill() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute(FILL.format(rows=ROWS))
        cursor.execute("ANALYZE")


def looks(client: Client, address: str) -> list[float]:
    seconds = []
    for _ in range(LOOKS):
        started = time.perf_counter()
        assert client.get(address, follow=True).status_code == 200
        seconds.append(time.perf_counter() - started)
    return seconds


def test_pages_beside_a_million_rows(client):
    started = time.perf_counter()
    fill()
    print(f"\n{ROWS:,} rows of each kind in {time.perf_counter() - started:.0f} s")
    started = time.perf_counter()
    added = flows.add_up()
    print(f"{added:,} postings added up in {time.perf_counter() - started:.1f} s")
    client.force_login(User.objects.create_superuser("boss@example.com", "a-long-password"))

    for name, address in PAGES.items():
        seconds = looks(client, address)
        print(f"{name:28} median {statistics.median(seconds) * 1000:6.0f} ms, slowest {max(seconds) * 1000:6.0f} ms")
