"""Damage that posting and row agree about: statuses, destinations, statement entries. What else is known names it."""

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from connect.models import ConnectedAccount
from connect.reversals.reversal_requests import process_due
from connect.transfers.transfer_requests import send_due
from marketplace.bank_refunds import BankTransfer, refund_from_bank
from payments.ledger.statements import StatementLine, book_statement_line
from payments.models import Payment
from payments.retry_policy import AMOUNT_MISSING_FOR
from tests.backoffice.damage import damage, verify
from tests.buying import (
    deliver_dispute,
    deliver_payment,
    deliver_refund,
    order_of,
    paid,
    payment_of,
    refund_of,
    two_sellers_order,
)
from tests.connect.factories import make_seller
from tests.factories import OfferFactory, PersonFactory, ProductFactory
from tests.subscriptions.subscribing import activate
from veza.core.causes import Cause
from veza.core.ids import new_id
from veza.core.models import ReviewItem

pytestmark = pytest.mark.django_db
BY_FINANCE = Cause("user", actor="finance", reason="The card was closed.")


def book(name: str, kind: str, amount_minor: int, **facts: str) -> None:
    assert book_statement_line(StatementLine(name, kind, amount_minor, "EUR", timezone.now(), **facts))


@pytest.fixture
def world(sandbox):
    """Transfers sent and not, refunds (one pending, one from our bank), a dispute, an invoice, statement entries."""
    order = paid(two_sellers_order())
    for transfer in order.transfers.all():
        account = sandbox.create_account()
        ConnectedAccount.objects.create(seller=transfer.seller, stripe_account_id=account, transfers_active=True)
    send_due()
    sandbox.pay(payment_of(order).provider_key)
    deliver_refund(refund_of(order, item_ids=[order.items.get(net_minor=10_00).pk]))
    process_due()
    pending = refund_of(order, item_ids=[order.items.get(net_minor=5_00).pk])
    disputed = paid(two_sellers_order())
    deliver_dispute(payment_of(disputed), "opened")
    deliver_dispute(payment_of(disputed), "lost")
    seller = make_seller(stripe_account_id=sandbox.create_account())
    unsent = paid(order_of(OfferFactory(product=ProductFactory(seller=seller))))
    old = paid(order_of(OfferFactory()))
    Payment.objects.filter(purpose_id=old.pk).update(created_at=timezone.now() - timedelta(days=366))
    bank_transfer = BankTransfer("SEPA-1", 12_00, [old.items.get().pk])
    staff = PersonFactory(is_staff=True, is_superuser=True)
    activate(sandbox)
    book("po-1", "settlement", 30_00)
    book("fee-1", "fee", 1_00)
    book("fee-2", "fee", 2_00)
    book("fee-1-back", "fee", 1_00, corrects="fee-1", reason="It was another month's.")
    book("diff-1", "difference", 3_00, account="psp_clearing", reason="The statement has less.")
    refund_from_bank(
        refund_id=new_id(), order_id=old.pk, bank_transfer=bank_transfer, booked_by_id=staff.pk, cause=BY_FINANCE
    )
    return {
        "order": order.pk,
        "unsent": unsent.transfers.get().pk,
        "kept": order.transfers.get(status="completed").pk,
        "waiting": payment_of(order_of(OfferFactory())).pk,
        "pending": pending.pk,
        "disputed": payment_of(disputed).pk,
        "stranger_account": ConnectedAccount.objects.get(seller=seller).stripe_account_id,
    }


def test_statements_and_bank_refunds_show_no_difference(world):
    assert verify() == (0, "")


SET_STATUS = "UPDATE {} SET status = '{}' WHERE id = %({})s"
SET_TRANSFER = "UPDATE seller_transfers SET {} WHERE id = %({})s"
ATTACKS = {
    "a payment that waits for its buyer is said to have failed": (
        SET_STATUS.format("payments_payment", "failed", "waiting"),
        "of 12.00 EUR is failed, and its history ends with pending",
    ),
    "a paid payment is said to be mismatched": (
        SET_STATUS.format("payments_payment", "mismatched", "disputed"),
        "of 18.00 EUR is mismatched, and its history ends with succeeded",
    ),
    "a refund under way is said to have failed": (
        SET_STATUS.format("refunds", "failed", "pending"),
        "of 6.00 EUR is failed, and its history ends with pending",
    ),
    "a lost dispute is said to be accepted": (
        "UPDATE payments_dispute SET status = 'accepted'",
        "of 18.00 EUR is accepted, and its history ends with lost",
    ),
    "a fulfilled order is said to be cancelled": (
        SET_STATUS.format("orders", "cancelled", "order"),
        "of 18.00 EUR is cancelled, and its history ends with",
    ),
    "a paid invoice is said to be void": (
        "UPDATE subscription_invoices SET status = 'void'",
        "is void, and its history ends with paid",
    ),
    "a transfer that was never sent is said to be completed": (
        SET_TRANSFER.format("status = 'completed'", "unsent"),
        "of 9.00 EUR is completed, and was never sent",
    ),
    "a transfer that was never sent is said to need review": (
        SET_TRANSFER.format("status = 'permanently_failed'", "unsent"),
        "of 9.00 EUR is permanently_failed, and its history ends with pending",
    ),
    "a sent transfer is said to be pending": (
        SET_TRANSFER.format("status = 'pending'", "kept"),
        "of 4.50 EUR is pending, and was sent",
    ),
    "a sent transfer went to another seller's account": (
        SET_TRANSFER.format("destination = %(stranger_account)s", "kept"),
        "the account of another seller",
    ),
    "a transfer's external reversal that was never made": (
        SET_TRANSFER.format("reversal_target_minor = 100, external_reversed_minor = 100", "kept"),
        "1.00 EUR",
    ),
    "a status change is deleted": (
        "DELETE FROM core_statuschange WHERE subject_id = %(kept)s",
        "of 4.50 EUR is completed, and its history ends with pending",
    ),
    "a correction is of another line": (
        "UPDATE payments_statemententry SET corrects_id = (SELECT id FROM payments_statemententry WHERE name = 'fee-2')"
        " WHERE name = 'fee-1-back'",
        "fee-1-back",
    ),
    "a correction is of no line any more": (
        "UPDATE payments_statemententry SET corrects_id = NULL WHERE name = 'fee-1-back'",
        "1.00 EUR from",
    ),
    "a corrected line is deleted with its posting": (
        "WITH posted AS (DELETE FROM payments_posting WHERE subject_id = (SELECT id FROM payments_statemententry "
        "WHERE name = 'fee-1')) DELETE FROM payments_statemententry WHERE name = 'fee-1'",
        "fee-1-back",
    ),
    "a correction is corrected": (
        "UPDATE payments_statemententry SET corrects_id = (SELECT id FROM payments_statemententry "
        "WHERE name = 'fee-1-back'), reason = 'x' WHERE name = 'fee-1'",
        "fee-1",
    ),
    "a difference takes from our fee": (
        "WITH posted AS (UPDATE payments_posting SET credit_id = 'platform_fee' WHERE subject_id = (SELECT id FROM "
        "payments_statemententry WHERE name = 'diff-1')) UPDATE payments_statemententry SET account = 'platform_fee' "
        "WHERE name = 'diff-1'",
        "3.00 EUR",
    ),
    "a statement's line is of another kind": (
        "UPDATE payments_statemententry SET kind = 'dispute_fee' WHERE name = 'fee-2'",
        "2.00 EUR",
    ),
    "a statement's posting is in yen": (
        "UPDATE payments_posting SET currency = 'JPY' WHERE kind = 'statement' AND amount_minor = 200",
        "200 JPY",
    ),
    "a bank refund is booked at Hyperswitch": (
        "UPDATE payments_posting SET credit_id = 'psp_clearing' WHERE credit_id = 'bank' AND kind = 'refund'",
        "to psp_clearing",
    ),
    "a bank refund is said to be the buyer's": (
        "UPDATE refunds SET source = 'buyer', bank_reference = '' WHERE source = 'bank'",
        "12.00 EUR",
    ),
    "a refund is said to be paid from our bank": (
        "UPDATE refunds SET source = 'bank', bank_reference = 'x' WHERE source = 'buyer' AND status = 'succeeded'",
        "12.00 EUR",
    ),
    "a bank refund is deleted": ("DELETE FROM refunds WHERE source = 'bank'", "explained by nothing: refund"),
    "a bank refund is of less than was posted": (
        "UPDATE refunds SET amount_minor = 1100 WHERE source = 'bank'",
        "11.00 EUR",
    ),
    "a refund forgets how often it was posted": (
        "UPDATE refunds SET posting_batches = 0 WHERE source = 'bank'",
        "12.00 EUR",
    ),
    "a dispute forgets how often it was posted": ("UPDATE payments_dispute SET posting_batches = 0", "18.00 EUR"),
    "an opening balance appears from nowhere": (
        "WITH closing AS (INSERT INTO payments_ledgerclosing (id, closed_before, closed_at) VALUES (1, 1, now())) "
        "INSERT INTO payments_openingbalance (account_id, currency, amount_minor) SELECT code, 'EUR', 700 FROM "
        "payments_ledgeraccount WHERE code LIKE 'seller:%%' LIMIT 1",
        "7.00 EUR",
    ),
}


def report_of(sql: str, **values: object) -> tuple[int, str]:
    """What `verify_ledger` says after this damage, which is undone again: all attacks share one world."""
    with transaction.atomic():
        damage(sql, **values)
        verdict = verify()
        transaction.set_rollback(True)
    return verdict


def test_every_damage_to_a_fact_is_named_with_its_amount(world):
    reports = {attack: report_of(sql, **world) for attack, (sql, _) in ATTACKS.items()}

    unseen = {
        attack: report for attack, report in reports.items() if report[0] != 1 or ATTACKS[attack][1] not in report[1]
    }
    assert unseen == {}


@pytest.fixture
def without_amount(sandbox) -> Payment:
    """A payment of 12.00 that Hyperswitch reports as succeeded, and not with how much."""
    payment = payment_of(order_of(OfferFactory()))
    deliver_payment(payment, amount_received=None)
    return payment


def test_a_success_without_an_amount_is_a_difference(without_amount):
    code, report = verify()

    assert code == 1
    assert f"payment {without_amount.pk}: " in report
    assert "of 12.00 EUR is booked" in report


def test_a_success_without_an_amount_is_none_once_finance_is_asked(without_amount):
    Payment.objects.update(amount_missing_since=timezone.now() - AMOUNT_MISSING_FOR)
    deliver_payment(without_amount, amount_received=None)

    assert ReviewItem.objects.filter(kind="payment_amount_missing").exists()
    assert verify() == (0, "")
