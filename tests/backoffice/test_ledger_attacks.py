"""The proof must be able to fail: the rows are damaged with the triggers off, and each damage is named."""

import pytest
from django.utils import timezone

from connect.models import ConnectedAccount, SellerTransfer
from connect.reversals.reversal_requests import process_due
from connect.transfers.transfer_requests import send_due
from payments.ledger.statements import StatementLine, book_statement_line
from payments.models import Dispute, Payment, Refund
from payments.reviews.conversions import enter_converted_amount
from tests.backoffice.damage import damage, verify
from tests.buying import (
    deliver,
    deliver_dispute,
    deliver_payment,
    deliver_refund,
    envelope,
    order_of,
    paid,
    payment_of,
    refund_of,
    two_sellers_order,
)
from tests.connect.factories import make_seller
from tests.factories import OfferFactory, ProductFactory
from tests.subscriptions.subscribing import activate
from veza.backoffice.verification import verify_ledger
from veza.core.causes import Cause
from veza.core.models import Heartbeat, ReviewItem

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(sandbox):
    """A small busy shop: an item refunded and reversed, a dispute, a transfer not sent yet, an invoice, a statement."""
    order = paid(two_sellers_order())
    for transfer in order.transfers.all():
        account = sandbox.create_account()
        ConnectedAccount.objects.create(seller=transfer.seller, stripe_account_id=account, transfers_active=True)
    send_due()
    sandbox.pay(payment_of(order).provider_key)
    deliver_refund(refund_of(order, item_ids=[order.items.get(net_minor=10_00).pk]))
    process_due()
    disputed = paid(two_sellers_order())
    deliver_dispute(payment_of(disputed), "opened")
    seller = make_seller(stripe_account_id=sandbox.create_account())
    unsent = paid(order_of(OfferFactory(product=ProductFactory(seller=seller))))
    activate(sandbox)
    voided = paid(order_of(OfferFactory()))
    deliver_payment(payment_of(voided), amount_received=7_00)
    book_statement_line(StatementLine("top-up-1", "top_up", 18_00, "EUR", timezone.now()))
    return {
        "order": order.pk,
        "payment": payment_of(order).pk,
        "other_payment": payment_of(unsent).pk,
        "unsent": unsent.transfers.get().pk,
        "kept": order.transfers.get(status="completed").pk,
        "reversed": order.transfers.get(status="reversed").pk,
        "stranger": f"seller:{seller.pk}",
        "disputed": payment_of(disputed).pk,
        "unpaid_order": order_of(OfferFactory()).pk,
    }


def test_a_healthy_busy_shop_shows_no_difference(world):
    assert verify() == (0, "")


POSTING_OF_KEPT = "UPDATE payments_posting SET {} WHERE kind = 'transfer' AND subject_id = %(kept)s"
COPY_POSTING = """
INSERT INTO payments_posting (id, debit_id, credit_id, amount_minor, currency, kind, subject_id, number, leg,
    payment_id, correlation_id, at)
SELECT gen_random_uuid(), {debit}, {credit}, {amount}, {currency}, kind, subject_id, number, 'again', payment_id,
    correlation_id, at FROM payments_posting WHERE {where} LIMIT 1
"""
COPY_TRANSFER = """
INSERT INTO seller_transfers SELECT (jsonb_populate_record(NULL::seller_transfers, to_jsonb(old) || jsonb_build_object(
    'id', gen_random_uuid(), 'seq', 9, 'stripe_transfer_id', 'tr_again'))).* FROM seller_transfers old
    WHERE id = %(kept)s
"""
COPY_TRANSFER_TO_UNPAID_ORDER = COPY_TRANSFER.replace("'seq', 9", "'order_id', %(unpaid_order)s::uuid, 'seq', 9")
DISPUTE_ANOTHER_SELLER = """
WITH posted AS (UPDATE payments_posting SET debit_id = %(stranger)s WHERE kind = 'dispute' AND amount_minor = 900)
UPDATE payments_dispute SET allocation = (
    SELECT jsonb_object_agg(CASE part WHEN '900' THEN %(stranger)s ELSE account END, part)
    FROM jsonb_each(allocation) AS parts (account, part))
"""
RECEIVE_LESS = """
WITH posted AS (UPDATE payments_posting SET amount_minor = 1700, number = 1700 WHERE kind = 'received'
    AND payment_id = %(payment)s) UPDATE payments_payment SET received_minor = 1700 WHERE id = %(payment)s
"""


def copy(where: str, *, debit="debit_id", credit="credit_id", amount="amount_minor", currency="currency") -> str:
    return COPY_POSTING.format(debit=debit, credit=credit, amount=amount, currency=currency, where=where)


# Each with a word that the report must have: the row or account, or the amount in question.
ATTACKS = {
    # What an outsider tried, and what went unseen then.
    "a second completed transfer for one share": (COPY_TRANSFER, "ends with 9.00 EUR"),
    "a transfer that was never sent is deleted": ("DELETE FROM seller_transfers WHERE id = %(unsent)s", "9.00 EUR"),
    "a transfer that was never sent is cancelled": (
        "UPDATE seller_transfers SET status = 'cancelled' WHERE id = %(unsent)s",
        "should end with 9.00 EUR and ends with 0.00 EUR",
    ),
    "a sent transfer is deleted": ("DELETE FROM seller_transfers WHERE id = %(kept)s", "explained by nothing"),
    "a transfer's posting has its sides swapped": (
        POSTING_OF_KEPT.format("debit_id = credit_id, credit_id = debit_id"),
        "4.50 EUR from stripe_balance",
    ),
    "a transfer's posting is of another seller": (POSTING_OF_KEPT.format("debit_id = %(stranger)s"), "4.50 EUR"),
    "a transfer's posting is from our fee": (POSTING_OF_KEPT.format("debit_id = 'platform_fee'"), "platform_fee"),
    "a transfer's posting is in another currency": (POSTING_OF_KEPT.format("currency = 'USD'"), "4.50 USD"),
    "a transfer's posting is on another payment": (
        POSTING_OF_KEPT.format("payment_id = %(other_payment)s"),
        "explained by nothing: transfer",
    ),
    "a refunded order whose reversal was never planned": (
        "UPDATE seller_transfers SET reversal_target_minor = 0, reversed_minor = 0, status = 'completed' "
        "WHERE id = %(reversed)s",
        "reversed",
    ),
    "a statement's posting pays a seller": (
        "UPDATE payments_posting SET debit_id = %(stranger)s WHERE kind = 'statement'",
        "from seller:",
    ),
    "a statement posts twice": (copy("kind = 'statement'", amount="100"), "1.00 EUR"),
    "a refund's posting is in another currency": (
        "UPDATE payments_posting SET currency = 'USD' WHERE kind = 'refund'",
        "USD",
    ),
    "what was received is posted in another currency": (
        "UPDATE payments_posting SET currency = 'USD' WHERE kind = 'received' AND payment_id = %(payment)s",
        "18.00 USD",
    ),
    "a reversal's posting is deleted": ("DELETE FROM payments_posting WHERE kind = 'reversal'", "not posted: reversal"),
    # And as many again.
    "a share is moved from one seller to another": (
        "UPDATE payments_posting SET credit_id = %(stranger)s WHERE kind = 'applied' AND payment_id = %(payment)s "
        "AND credit_id LIKE 'seller:%%' AND amount_minor = 450",
        "4.50 EUR",
    ),
    "the tax of an order is posted as our fee": (
        "DELETE FROM payments_posting WHERE kind = 'applied' AND payment_id = %(payment)s AND credit_id = 'tax'",
        "to tax",
    ),
    "an order is applied twice": (copy("kind = 'applied' AND payment_id = %(payment)s"), "posted and not true"),
    "a payment says that more was received": (
        "UPDATE payments_payment SET received_minor = 1900 WHERE id = %(payment)s",
        "19",
    ),
    "a payment is received twice in the books": (
        copy("kind = 'received' AND payment_id = %(payment)s"),
        "18.00 EUR from psp_clearing",
    ),
    "a payment forgets its refund": (
        "UPDATE payments_payment SET refunded_minor = 0 WHERE id = %(payment)s",
        "refunded (payment row)",
    ),
    "a refund is said to have failed": ("UPDATE refunds SET status = 'failed'", "is failed"),
    "a void is said to be undone": (
        "UPDATE refunds SET status = 'bounced' WHERE source = 'void'",
        "of 5.00 EUR is bounced",
    ),
    "a void is deleted": (
        "WITH lines AS (DELETE FROM marketplace_refundline WHERE refund_id IN (SELECT id FROM refunds "
        "WHERE source = 'void')) DELETE FROM refunds WHERE source = 'void'",
        "explained by nothing: refund",
    ),
    "a void is sent to the buyer": (
        "UPDATE refunds SET first_sent_at = now() WHERE source = 'void'",
        "of 5.00 EUR was sent to Hyperswitch",
    ),
    "a buyer's refund is called a void": (
        "UPDATE refunds SET source = 'void' WHERE source = 'buyer'",
        "of 12.00 EUR was sent to Hyperswitch",
    ),
    "a void is called a refund": (
        "UPDATE refunds SET source = 'external' WHERE source = 'void'",
        "of 5.00 EUR has no id at Hyperswitch",
    ),
    "a refund takes from another account": (
        "UPDATE payments_posting SET debit_id = 'platform_fee' WHERE kind = 'refund' AND debit_id LIKE 'seller:%%'",
        "refund",
    ),
    "a refund's lines are deleted": ("DELETE FROM marketplace_refundline", "its lines add up to 0"),
    "a dispute is decided and nothing is posted": ("UPDATE payments_dispute SET status = 'lost'", "is lost"),
    "a dispute is of another amount": ("UPDATE payments_dispute SET amount_minor = 1", "0.01 EUR"),
    "a reversal is repeated": (copy("kind = 'reversal'"), "9.00 EUR from stripe_balance"),
    "a reversal's row is deleted": ("DELETE FROM seller_transfer_reversals", "explained by nothing: reversal"),
    "an invoice is paid by nothing": (
        "UPDATE subscription_invoices SET hyperswitch_payment_id = NULL, paid_at = NULL, status = 'pending'",
        "explained by nothing: applied",
    ),
    "an invoice says another price": (
        "UPDATE subscription_invoices SET net_minor = net_minor - 1, tax_minor = tax_minor + 1",
        "subscription_income",
    ),
    "an item's price changes after the sale": (
        "UPDATE marketplace_orderitem SET net_minor = net_minor + 1, seller_minor = seller_minor + 1 "
        "WHERE order_id = %(order)s",
        "ends with",
    ),
    "an order's total changes after the sale": (
        "UPDATE orders SET total_minor = 1, subtotal_minor = 1, tax_minor = 0 WHERE id = %(order)s",
        "its total is 1",
    ),
    "a seller is owed by a row without a reason": (
        "UPDATE seller_transfers SET offset_minor = 1 WHERE id = %(kept)s",
        "0.00 EUR of it counts as covered",
    ),
    "a statement entry is deleted": ("DELETE FROM payments_statemententry", "explained by nothing: statement"),
    "a posting loses its payment and becomes a statement": (
        "UPDATE payments_posting SET kind = 'statement', payment_id = NULL WHERE kind = 'transfer' "
        "AND subject_id = %(kept)s",
        "explained by nothing: statement",
    ),
    # Row and posting agree, or no posting is touched: what the world knows otherwise says so.
    "a paid payment is said to have failed": (
        "UPDATE payments_payment SET status = 'failed' WHERE id = %(other_payment)s",
        "it is failed, and 12.00 EUR of what it received is kept",
    ),
    "a paid payment is said to be waiting for its buyer": (
        "UPDATE payments_payment SET status = 'pending' WHERE id = %(payment)s",
        "it is pending, and 6.00 EUR of what it received is kept",
    ),
    "an unpaid payment is said to have succeeded": (
        "UPDATE payments_payment SET status = 'succeeded' WHERE purpose_id = %(unpaid_order)s",
        "it is succeeded, and 0.00 EUR of 12.00 EUR was received",
    ),
    "a payment loses its id at Hyperswitch": (
        "UPDATE payments_payment SET hyperswitch_payment_id = NULL WHERE id = %(payment)s",
        "18.00 EUR was received, and the payment has no id",
    ),
    "a sent transfer loses its id at Stripe": (
        "UPDATE seller_transfers SET stripe_transfer_id = NULL WHERE id = %(kept)s",
        "4.50 EUR was sent, and it has no id at Stripe",
    ),
    "a transfer that was never sent has an id at Stripe": (
        "UPDATE seller_transfers SET stripe_transfer_id = 'tr_forged' WHERE id = %(unsent)s",
        "Stripe has it as tr_forged, and its 9.00 EUR was never sent",
    ),
    "a transfer was sent for an order that was never paid": (
        COPY_TRANSFER_TO_UNPAID_ORDER,
        "of 4.50 EUR is completed, and order",
    ),
    "a payment asks for less than its order costs": (
        "UPDATE payments_payment SET amount_minor = 1700 WHERE id = %(payment)s",
        "its price is 17.00 EUR",
    ),
    "a dispute takes from a seller of another order": (
        DISPUTE_ANOTHER_SELLER,
        "refunds and disputes take 9.00 EUR more of seller:",
    ),
    "less was received than the order was given": (RECEIVE_LESS, "1.00 EUR more was applied"),
    "a posting is filed under another order": (
        POSTING_OF_KEPT.format("correlation_id = %(unpaid_order)s"),
        "posted under another order or subscription: transfer",
    ),
    "a posting is to an account that is no seller's": (
        POSTING_OF_KEPT.format("debit_id = 'seller:unknown'"),
        "4.50 EUR from seller:unknown",
    ),
    "money is taken out of our balance at Stripe": (
        copy("kind = 'statement'", debit="'tax'", credit="'stripe_balance'", amount="1"),
        "0.01 EUR from tax",
    ),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_every_damage_ends_with_1_and_names_row_and_amount(world, attack):
    sql, word = ATTACKS[attack]
    damage(sql, **world)

    code, report = verify()

    assert code == 1
    assert word in report, report


def test_one_payments_surplus_does_not_hide_what_another_gave_away(world):
    surplus = paid(order_of(OfferFactory()))
    deliver_payment(payment_of(surplus), amount_received=20_00)

    damage(RECEIVE_LESS, **world)

    assert "1.00 EUR more was applied or returned than was received" in verify()[1]


@pytest.fixture
def foreign(sandbox):
    """An order with a lost dispute in USD, one with a refund in USD, and both again with their amounts entered."""
    orders = {name: paid(two_sellers_order()) for name in ("disputed", "refunded", "disputed_eur", "refunded_eur")}
    for name in ("disputed", "disputed_eur"):
        payload = {"dispute_id": f"dp_{name}", "currency": "USD", "amount_minor": 19_50}
        deliver_dispute(payment_of(orders[name]), "lost", **payload)
    for name in ("refunded", "refunded_eur"):
        payload = {"refund_id": f"ref_{name}", "payment_id": payment_of(orders[name]).provider_key, "currency": "USD"}
        deliver(envelope("refund_succeeded", payload | {"amount": 19_50, "status": "succeeded"}))
    disputes = {name: Dispute.objects.get(payment__purpose_id=orders[name].pk) for name in ("disputed", "disputed_eur")}
    refunds = {name: Refund.objects.get(payment__purpose_id=orders[name].pk) for name in ("refunded", "refunded_eur")}
    for row in (disputes["disputed_eur"], refunds["refunded_eur"]):
        enter_converted_amount(row, amount_minor=6_00, cause=Cause("staff", actor="finance@example.com", reason="bank"))
    return {name: row.pk for name, row in (disputes | refunds).items()}


ALL_IN_USD = "DELETE FROM payments_posting WHERE currency = 'USD' AND subject_id = {}"
MIRROR_IN_USD = ALL_IN_USD + " AND debit_id = 'psp_clearing'"
FOREIGN_ATTACKS = {
    "the amount that finance entered for a dispute changes": (
        "UPDATE payments_dispute SET converted_minor = 500 WHERE id = %(disputed_eur)s",
        "5.00 EUR",
    ),
    "the amount that finance entered for a refund changes": (
        "UPDATE refunds SET converted_minor = 500 WHERE id = %(refunded_eur)s",
        "5.00 EUR",
    ),
    "the amount that finance entered for a dispute is forgotten": (
        "UPDATE payments_dispute SET converted_minor = NULL WHERE id = %(disputed_eur)s",
        "19.50 USD",
    ),
    "the amount that finance entered for a refund is forgotten": (
        "UPDATE refunds SET converted_minor = NULL WHERE id = %(refunded_eur)s",
        "19.50 USD",
    ),
    "an amount is entered and not posted": (
        "UPDATE payments_dispute SET converted_minor = 1800 WHERE id = %(disputed)s",
        "18.00 EUR",
    ),
    "the postings of a foreign dispute are deleted": (
        ALL_IN_USD.format("%(disputed)s"),
        "moved 19.50 USD to psp_clearing",
    ),
    "the postings of a foreign refund are deleted": (ALL_IN_USD.format("%(refunded)s"), "nothing has"),
    "the mirror of a converted dispute is deleted": (MIRROR_IN_USD.format("%(disputed_eur)s"), "19.50 USD"),
    "the mirror of a converted refund is deleted": (MIRROR_IN_USD.format("%(refunded_eur)s"), "posted and not true"),
    "what a converted dispute was posted with before is deleted": (
        ALL_IN_USD.format("%(disputed_eur)s"),
        "19.50 USD: 1 of its 3 batches",
    ),
    "what a converted refund was posted with before is deleted": (
        ALL_IN_USD.format("%(refunded_eur)s"),
        "19.50 USD: 1 of its 3 batches",
    ),
    "a foreign dispute takes from a share": (
        "UPDATE payments_dispute SET allocation = jsonb_build_object('tax', 1950) WHERE id = %(disputed)s",
        "19.50 USD takes from shares in EUR",
    ),
    "a converted dispute is said to be posted in its own currency": (
        "UPDATE payments_dispute SET allocation_currency = 'USD' WHERE id = %(disputed_eur)s",
        "posted in USD, and it should be in EUR",
    ),
    "a converted dispute's postings are in its own currency": (
        "UPDATE payments_posting SET currency = 'USD' WHERE currency = 'EUR' AND subject_id = %(disputed_eur)s",
        "moved 6.00 EUR to psp_clearing",
    ),
}


def test_a_healthy_shop_with_amounts_in_doubt_shows_no_difference(foreign):
    assert verify() == (0, "")


@pytest.mark.parametrize("attack", FOREIGN_ATTACKS)
def test_every_damage_to_a_foreign_amount_names_row_and_amount(foreign, attack):
    sql, word = FOREIGN_ATTACKS[attack]
    damage(sql, **foreign)

    code, report = verify()

    assert (code, word in report) == (1, True), report


def test_a_difference_opens_a_review_item_until_it_is_fixed(world):
    damage("UPDATE payments_payment SET refunded_minor = 1 WHERE id = %(payment)s", **world)
    verify_ledger()

    item = ReviewItem.objects.get(kind="ledger_differs")
    assert (item.subject_id, item.amount_minor, item.currency, item.status) == (world["payment"], 11_99, "EUR", "open")

    damage("UPDATE payments_payment SET refunded_minor = 1200 WHERE id = %(payment)s", **world)
    verify_ledger()

    item.refresh_from_db()
    assert item.status == "closed"


def test_the_daily_proof_counts_payments_and_differences(world):
    verify_ledger()
    healthy = Heartbeat.objects.get(name="backoffice.verify_ledger")
    assert (healthy.done, healthy.failed) == (Payment.objects.count(), 0)

    SellerTransfer.objects.filter(pk=world["kept"]).update(withheld_minor=1, unwound_minor=1)
    verify_ledger()

    beat = Heartbeat.objects.get(name="backoffice.verify_ledger")
    assert beat.failed > 0
    assert str(world["kept"]) in beat.last_error or str(world["payment"]) in beat.last_error


def test_an_account_on_the_wrong_side_may_be_under_review(world):
    book_statement_line(StatementLine("fee-1", "fee", 900_00, "EUR", timezone.now()))
    assert verify()[0] == 1

    verify_ledger()

    assert verify() == (0, "")
    assert ReviewItem.objects.get(kind="account_on_wrong_side").amount_minor > 0
