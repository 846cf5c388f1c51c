import pytest
from django.db import connection
from django.urls import reverse
from rest_framework.test import APIClient
from connect import accounts, payouts
from connect.reporting.balance import balances_of
from connect.reversals.reversal_requests import process_due
from connect.transfers import transfer_refresh, transfer_requests
from payments import tasks
from payments.ledger.opening_balances import carry_forward
from subscriptions.tasks import run_due_subscriptions
from tests.buying import paid, two_sellers_order, refund_of, payment_of, deliver_refund
from tests.explaining import explained
from veza.backoffice.proof import prove_all
from veza.backoffice.timeline import timeline_of

pytestmark = pytest.mark.django_db


def test_probe(sandbox, boss):
    order = paid(two_sellers_order())
    refund_of(order, amount_minor=100)
    seller = order.items.first().seller
    b, s = APIClient(), APIClient()
    b.force_authenticate(order.buyer)
    s.force_authenticate(seller)

    def page(label, **q):
        r = boss.get(reverse(f"admin:{label}_changelist"), q)
        assert r.status_code == 200, r

    def user_page(u):
        assert boss.get(reverse("admin:core_user_change", args=[u.pk])).status_code == 200

    calls = {
        "timeline": lambda: timeline_of(order.pk),
        "reconcile": tasks.reconcile_stuck,
        "resend": tasks.resend,
        "close": tasks.close_unpaid,
        "retry": tasks.retry_deliveries,
        "clean": tasks.clean_webhook_log,
        "send": transfer_requests.send_due,
        "rev": process_due,
        "acc": accounts.refresh_due,
        "trf": transfer_refresh.refresh_due,
        "pay": payouts.advance_due,
        "subs": run_due_subscriptions,
        "orders": lambda: b.get("/api/v1/marketplace/orders"),
        "lic": lambda: b.get("/api/v1/licenses/mine"),
        "p": lambda: b.get("/api/v1/marketplace/products"),
        "p title": lambda: b.get("/api/v1/marketplace/products?ordering=title"),
        "p seller": lambda: b.get(f"/api/v1/marketplace/products?seller={seller.pk}"),
        "p lic": lambda: b.get("/api/v1/marketplace/products?license=personal&max_price_minor=5"),
        "transfers": lambda: s.get("/api/v1/connect/transfers"),
        "payouts": lambda: s.get("/api/v1/connect/payouts"),
        "balance": lambda: balances_of(seller.pk),
        "invoices": lambda: b.get("/api/v1/subscriptions/invoices"),
        "carry": carry_forward,
        "prove": lambda: list(prove_all()),
        "seller page": lambda: user_page(seller),
        "buyer page": lambda: user_page(order.buyer),
        "place": lambda: two_sellers_order(),
        "webhook": lambda: deliver_refund(payment_of(order).refunds.get()),
    }
    for label in (
        "marketplace_order",
        "payments_payment",
        "payments_refund",
        "connect_sellertransfer",
        "subscriptions_subscription",
    ):
        calls[label + " q"] = lambda label=label: page(label, q="abcd1234")
        calls[label + " status"] = lambda label=label: page(
            label, status__exact="pending_payment" if "subs" in label else "pending"
        )
    for label in (
        "marketplace_order",
        "payments_payment",
        "payments_refund",
        "payments_dispute",
        "marketplace_license",
        "marketplace_product",
        "connect_sellertransfer",
        "connect_sellerpayout",
        "subscriptions_subscription",
        "subscriptions_unpaidsubscriptionaudit",
        "subscriptions_distributionsubmission",
        "backoffice_staffact",
    ):
        calls[label + " email"] = lambda label=label: page(label, q=seller.email)
    for label in ("marketplace_order", "connect_sellertransfer"):
        calls[label + " seller"] = lambda label=label: page(label, seller=seller.email)
    for label in (
        "subscriptions_unpaidsubscriptionaudit",
        "payments_webhookdelivery",
        "core_providercall",
        "backoffice_staffact",
        "core_statuschange",
    ):
        calls[label] = lambda label=label: page(label)
        calls[label + " id"] = lambda label=label: page(label, q=str(order.pk))
    calls["dash"] = lambda: boss.get(reverse("admin:index"))
    for n, c in calls.items():
        c() if n != "webhook" else None
    with connection.cursor() as cur:
        cur.execute(
            "select i.relname from pg_index x join pg_class i on i.oid=x.indexrelid join pg_class c on c.oid=x.indrelid join pg_namespace n on n.oid=c.relnamespace where n.nspname='public' and not x.indisunique and c.relname !~ '^(auth|django|token|core_user_)'"
        )
        all_ = {r[0] for r in cur.fetchall()}
    seen = set()
    for name, call in calls.items():
        with explained(without_seq_scans=True) as plans:
            call()
        got = plans.indexes & all_
        print(f"{name:40} {sorted(got - seen)}")
        seen |= got
    print("MISSING", sorted(all_ - seen))
