"""Every index has a query of ours that uses it: one that has none costs each insert and serves nobody.

Primary keys and unique constraints are rules, and need no query. An index that is added is listed here with the code
whose statements it serves; each statement is explained as it runs. Sequential scans are off: a small table is cheaper
to read whole.
"""

from collections.abc import Callable

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.urls import reverse
from rest_framework.test import APIClient

from connect import accounts, payouts
from connect.reporting.balance import read_balances
from connect.reversals.reversal_requests import process_due
from connect.transfers import transfer_refresh, transfer_requests
from marketplace.order_payments import cancel_order
from marketplace.tasks import review_refund_applications, review_restrictions
from payments import tasks
from payments.collection.method_deletions import is_saved_again
from payments.collection.saved_methods import saves_method
from payments.ledger.chart_of_accounts import seller_account
from payments.ledger.opening_balances import carry_forward
from payments.models import LedgerClosing, MethodDeletion, Payment
from subscriptions.price_changes import announce
from subscriptions.saved_methods import method_revoked
from subscriptions.tasks import announce_prices, run_due_subscriptions
from tests.buying import BY_BUYER, deliver_payment, deliver_refund, order_of, paid, payment_of, refund_of
from tests.buying import two_sellers_order as place_order
from tests.explaining import Plans, explained
from tests.factories import OfferFactory
from tests.filling import fill_catalogue, fill_orders, fill_postings, fill_transfers
from tests.subscriptions.repricing import next_version
from tests.subscriptions.subscribing import PlanFactory
from veza.backoffice.models import StaffAction
from veza.backoffice.proof import prove_all
from veza.backoffice.timeline import timeline_of
from veza.core.admin_lists import find
from veza.core.api.sessions import end_all
from veza.core.ids import new_id
from veza.core.models import Email

pytestmark = pytest.mark.django_db
# The indexes, by the code whose statements use them.
INDEXES = {
    "the history of an order": (
        "core_email_correlation_id_2c4f3a2c "
        "core_operatorcase_story_id_7c19bd0e dispute_story licenses_order_id_85daf24c payment_story posting_story "
        "payments_writeoff_correlation_id_05020929 provider_call_story refund_story reversal_correlation_id "
        "staff_act_story status_change_story webhook_story"
    ),
    "the proof of a payment": (
        "marketplace_refundline_item_id_111a614e payments_dispute_payment_id_2344937c "
        "payments_posting_payment_id_64353219 payments_writeoff_payment_id_bc54de4f refunds_payment_id_075bbbe0 "
        "payments_foreignreceipt_payment_id_1f16e35c "
        "payments_writeoff_subject_id_2c42309b seller_set_offs_debt_id_ca9fa72d "
        "seller_transfer_reversals_transfer_id_fd09cb3f"
    ),
    "payments.reconcile": "dispute_due payment_unsettled provider_call_latest refund_unsettled",
    "payments.resend": "method_deletion_due method_setup_due payment_due refund_due",
    "payments.close_unpaid": "payment_to_close",
    "payments.retry_deliveries": "webhook_due",
    "payments.clean_webhook_log": "webhook_received",
    "payments.carry_forward": "posting_transaction",
    "core.send_emails": "email_due",
    "connect.send_transfers": "transfer_due",
    "connect.process_reversals": "transfer_reversal_due",
    "connect.look_at_stripe": "account_refresh_due transfer_refresh_due",
    "connect.move_on_payouts": "payout_due",
    "subscriptions.run_due": "subscription_due",
    "subscriptions.announce_prices": "price_change_due subscription_live_of_plan",
    "ending all sessions": "api_session_of_user",
    "marketplace.review_restrictions": "restriction_review_due",
    "marketplace.review_refund_applications": "refund_application_undecided",
    "a webhook of a refund": "seller_set_offs_transfer_id_6bf9e279 marketplace_refundapplication_order_id_ce241615",
    "late money for a licence": "licenses_offer_id_ae083f45",
    "a mandate that ended": "subscription_saved_method",
    "a method to delete": "method_setup_story",
    "a payment that saves a method": "payments_revokedmandate_payment_method_id_69488553",
    "GET orders": "order_buyer_newest_first payment_purpose",
    "GET licenses": "license_holder_newest_first",
    "GET products": "product_for_sale_newest_first",
    "GET products by title": "product_for_sale_by_title",
    "GET products of a seller": "product_seller_newest_first",
    "GET products of a licence": "offer_by_license_and_price",
    "GET transfers": "transfer_seller_newest_first",
    "GET payouts": "payout_seller_newest_first",
    "GET invoices": "subscription_user_newest_first",
    "GET balance": "payout_terms_newest_first posting_credit_of_seller posting_debit_of_seller transfer_owed",
    "staff: a seller's page": "core_email_recipient_id_3ed4b715 status_change_subject",
    "staff: an e-mail's copies": "core_email_copy_of_id_2439e31a",
    "staff: the end of an id": (
        "orders_id_backwards payments_payment_id_backwards refunds_id_backwards seller_transfers_id_backwards "
        "user_subscriptions_id_backwards"
    ),
    "staff: not settled": (
        "orders_status payments_payment_unsettled_status refunds_unsettled_status seller_transfers_unsettled_status "
        "user_subscriptions_unsettled_status"
    ),
    "staff: an e-mail": (
        "payments_payment_payer_id_90660d0f submission_user_newest_first "
        "subscriptions_unpaidsubscriptionaudit_user_id_ff0e43ea backoffice_staffact_person_id_99093861"
    ),
    "staff: orders of a seller": "marketplace_orderitem_seller_id_e5fffa47",
    "staff: an id": "provider_call_subject",
    "staff: the subject of an action": "staff_act_subject",
    "staff: actions": "staff_act_newest_first",
    "staff: attacks": "webhook_attacks",
    "staff: failed deliveries": "webhook_log_not_ok",
}
# Each statement is planned in each of these ways: which of two indexes is better depends on the rows of production.
WITHOUT = [
    ("enable_seqscan",),
    ("enable_seqscan", "enable_sort"),
    ("enable_seqscan", "enable_bitmapscan"),
    ("enable_seqscan", "enable_indexscan", "enable_indexonlyscan"),
]
# Django adds an index `…_like` beside each unique text of its own accord, and a plan may take either of the two.
ALL = """
SELECT index.relname FROM pg_index
JOIN pg_class AS index ON index.oid = indexrelid
JOIN pg_class AS rows ON rows.oid = indrelid
WHERE rows.relnamespace = 'public'::regnamespace AND NOT indisunique
  AND rows.relname !~ '^(auth|django|core_user)_' AND index.relname !~ '_like$'
"""


@pytest.fixture
def code(sandbox, boss) -> dict[str, Callable[[], object]]:
    """The code that is named in INDEXES."""
    order = paid(place_order())
    late_order = order_of(OfferFactory())
    cancel_order(order_id=late_order.pk, cause=BY_BUYER)
    refund = refund_of(order, amount_minor=1_00)
    buyer, seller = order.buyer, order.items.first().seller
    fill_catalogue(100)
    fill_orders(buyer, 2_000)
    fill_transfers(seller)
    fill_postings([seller_account(seller.pk), *(seller_account(new_id()) for _ in range(1_000))], 4_000)
    plan = PlanFactory()
    next_version(plan, 50_00)
    announce(price_change_id=new_id(), plan_id=plan.pk, cause=BY_BUYER, at=order.created_at)
    LedgerClosing.objects.create(id=1, closed_before=395)

    def get(person, path: str) -> Callable[[], object]:
        client = APIClient()
        client.force_authenticate(person)
        return lambda: client.get(f"/api/v1/{path}")

    def pages(*labels: str, **query: str) -> Callable[[], object]:
        return lambda: [boss.get(reverse(f"admin:{label}_changelist"), query) for label in labels]

    orders, subscriptions = "marketplace_order", "subscriptions_subscription"
    money = ("payments_payment", "payments_refund", "connect_sellertransfer")
    people = (
        "payments_payment",
        "subscriptions_distributionsubmission",
        "subscriptions_unpaidsubscriptionaudit",
        "backoffice_staffaction",
    )

    def staff_unsettled() -> None:
        pages(orders, "payments_refund", "connect_sellertransfer", status__exact="failed")()
        pages("payments_payment", status__exact="mismatched")()
        pages(subscriptions, status__exact="pending_payment")()

    return {
        "the history of an order": lambda: timeline_of(order.pk),
        "the proof of a payment": lambda: list(prove_all()),
        "payments.reconcile": tasks.reconcile_stuck,
        "payments.resend": tasks.resend,
        "payments.close_unpaid": tasks.close_unpaid,
        "payments.retry_deliveries": tasks.retry_deliveries,
        "payments.clean_webhook_log": tasks.clean_webhook_log,
        "payments.carry_forward": carry_forward,
        "core.send_emails": lambda: list(Email.objects.waiting().filter(next_attempt_at__lte=Now())),
        "connect.send_transfers": transfer_requests.send_due,
        "connect.process_reversals": process_due,
        "connect.look_at_stripe": lambda: (accounts.refresh_due(), transfer_refresh.refresh_due()),
        "connect.move_on_payouts": payouts.advance_due,
        "subscriptions.run_due": run_due_subscriptions,
        "subscriptions.announce_prices": announce_prices,
        "ending all sessions": lambda: end_all(buyer),
        "marketplace.review_restrictions": review_restrictions,
        "marketplace.review_refund_applications": review_refund_applications,
        "a webhook of a refund": lambda: deliver_refund(refund),
        "late money for a licence": lambda: deliver_payment(payment_of(late_order)),
        "a mandate that ended": lambda: method_revoked("pm_1", cause=BY_BUYER, at=order.created_at),
        "a method to delete": lambda: is_saved_again(
            MethodDeletion(payment_method_id="pm_1", correlation_id=order.pk, requested_at=order.created_at)
        ),
        "a payment that saves a method": lambda: saves_method(
            Payment(payment_method_id="pm_1", created_at=order.created_at)
        ),
        "GET orders": get(buyer, "marketplace/orders"),
        "GET licenses": get(buyer, "licenses/mine"),
        "GET products": get(buyer, "marketplace/products"),
        "GET products by title": get(buyer, "marketplace/products?ordering=title"),
        "GET products of a seller": get(buyer, f"marketplace/products?seller={seller.pk}"),
        "GET products of a licence": get(buyer, "marketplace/products?license=personal&max_price_minor=500"),
        "GET transfers": get(seller, "connect/transfers"),
        "GET payouts": get(seller, "connect/payouts"),
        "GET invoices": get(buyer, "subscriptions/invoices"),
        "GET balance": lambda: read_balances(seller.pk),
        "staff: a seller's page": lambda: boss.get(reverse("admin:core_user_change", args=[seller.pk])),
        "staff: an e-mail's copies": lambda: list(Email(pk=new_id()).copies.order_by("pk")),
        "staff: the end of an id": pages(orders, subscriptions, *money, q="abcd1234"),
        "staff: not settled": staff_unsettled,
        "staff: an e-mail": pages(*people, q=seller.email),
        "staff: orders of a seller": pages(orders, seller=seller.email),
        "staff: an id": pages("core_providercall", q=str(order.pk)),
        "staff: the subject of an action": lambda: list(find(StaffAction.objects.all(), ["subject_id"], "maintenance")),
        "staff: actions": pages("backoffice_staffaction"),
        "staff: attacks": pages("payments_webhookdelivery", signature="bad"),
        "staff: failed deliveries": pages("payments_webhookdelivery", result="error"),
    }


def plans_of(run: Callable[[], object]) -> Plans:
    with explained(WITHOUT) as plans:
        run()
    return plans


def test_every_index_is_used_by_the_code_that_it_is_for(code):
    unused = {name: set(indexes.split()) - plans_of(code[name]).indexes for name, indexes in INDEXES.items()}

    assert {name: indexes for name, indexes in unused.items() if indexes} == {}


def test_every_index_is_listed():
    with connection.cursor() as cursor:
        cursor.execute(ALL)
        existing = {name for (name,) in cursor.fetchall()}

    assert existing == {index for indexes in INDEXES.values() for index in indexes.split()}
