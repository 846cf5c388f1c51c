"""Finance books what it paid from our bank account, and the proof knows where that money came from."""

from datetime import timedelta

import pytest
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from marketplace.bank_refunds import BankTransfer, refund_from_bank
from payments.models import Payment, Refund
from tests.backoffice.conftest import browser, staff
from tests.buying import paid, payment_of, two_sellers_order
from tests.database_roles import as_owner
from tests.subscriptions.subscribing import activate_by_webhook
from veza.backoffice.verification import faults_of_ledger
from veza.core.causes import Cause
from veza.core.ids import new_id

pytestmark = pytest.mark.django_db
YEAR_AGO = timedelta(days=366)


@pytest.fixture
def old_order(sandbox):
    """A paid order of 18.00 that Hyperswitch refunds no more."""
    order = paid(two_sellers_order())
    Payment.objects.filter(purpose_id=order.pk).update(created_at=timezone.now() - YEAR_AGO)
    return order


def press(row, action: str, *, version: str = "", group: str = "finance", **answers: object):
    meta = row._meta
    address = reverse(f"admin:{meta.app_label}_{meta.model_name}_action", args=[row.pk, action])
    payload = {"reason": "Card closed.", "submission_id": str(new_id()), f"version_{row.pk}": version or row.status}
    return browser(staff(group)).post(address, payload | answers, follow=True)


def answers_of(order, **answers: object) -> dict[str, object]:
    items = [str(item.pk) for item in order.items.all()]
    return {"items": items, "amount": "18.00", "bank_reference": "TRF-1", "confirm": "yes", **answers}


def test_finance_books_a_bank_refund_of_an_order(old_order):
    press(old_order, "book-bank-refund-of-order", **answers_of(old_order))

    refund = Refund.objects.get()
    assert (refund.source, refund.status, refund.bank_reference) == ("bank", "succeeded", "TRF-1")


def test_finance_sees_first_whose_money_it_takes(old_order):
    answers = answers_of(old_order)
    del answers["confirm"]

    page = press(old_order, "book-bank-refund-of-order", **answers).content.decode()

    assert "18.00 EUR is booked as paid to" in page
    assert "9.00 EUR of" in page
    assert not Refund.objects.exists()


@pytest.mark.parametrize(
    ("amount", "sentence"),
    [
        ("11.99", "the buyer keeps the personal licence, 0.01 EUR of 12.00 EUR stays paid."),
        ("12.00", "the personal licence is revoked, nothing of its price is left."),
    ],
)
def test_finance_sees_first_what_becomes_of_each_licence(old_order, amount, sentence):
    dear, cheap = old_order.items.order_by("-net_minor")
    answers = answers_of(old_order, items=[str(dear.pk)], amount=amount)
    del answers["confirm"]

    page = press(old_order, "book-bank-refund-of-order", **answers).content.decode()

    assert f"{dear.title}: {sentence}" in page
    assert f"{cheap.title}: the" not in page


@pytest.mark.parametrize("missing", ["items", "amount", "bank_reference", "reason"])
def test_nothing_is_booked_while_an_answer_is_missing(old_order, missing):
    answers = answers_of(old_order, **{missing: ""})

    press(old_order, "book-bank-refund-of-order", **answers)

    assert not Refund.objects.exists()


def test_support_books_no_bank_refund(old_order):
    assert press(old_order, "book-bank-refund-of-order", group="support", **answers_of(old_order)).status_code == 403
    assert not Refund.objects.exists()


def test_a_bank_refund_that_came_back_is_marked_as_returned(old_order):
    press(old_order, "book-bank-refund-of-order", **answers_of(old_order))
    refund = Refund.objects.get()

    browser(staff("finance", email="other@staff.example")).post(
        reverse("admin:payments_refund_action", args=[refund.pk, "mark-bank-refund-returned"]),
        {"reason": "x", "confirm": "yes", "submission_id": str(new_id()), f"version_{refund.pk}": "succeeded"},
    )

    refund.refresh_from_db()
    assert refund.status == "bounced"


def test_finance_books_a_bank_refund_of_an_invoice(sandbox):
    subscription = activate_by_webhook(sandbox)
    invoice = subscription.invoices.get()
    Payment.objects.update(created_at=timezone.now() - YEAR_AGO)

    press(invoice, "book-bank-refund-of-invoice", amount="12.00", bank_reference="TRF-2", confirm="yes")

    subscription.refresh_from_db()
    assert (Refund.objects.get().source, subscription.status) == ("bank", "expired")
    assert list(faults_of_ledger()) == []


DAMAGE = {
    "paid from Hyperswitch": (
        "UPDATE payments_posting SET credit_id = 'psp_clearing' WHERE credit_id = 'bank'",
        "posted and not true",
    ),
    "sent to Hyperswitch too": (
        "UPDATE refunds SET hyperswitch_refund_id = 'ref_x' WHERE source = 'bank'",
        "the buyer was paid twice",
    ),
    "still pending": ("UPDATE refunds SET status = 'pending' WHERE source = 'bank'", "it is either paid or returned"),
    "deleted with its lines": (
        "WITH gone AS (DELETE FROM marketplace_refundline) DELETE FROM refunds WHERE source = 'bank'",
        "posted and explained by nothing",
    ),
    "a refund at Hyperswitch made of it": (
        "UPDATE refunds SET source = 'support', bank_reference = '' WHERE source = 'bank'",
        "has no id at Hyperswitch",
    ),
}


@pytest.mark.parametrize("attack", DAMAGE)
def test_damage_to_a_bank_refund_is_named(old_order, attack):
    sql, word = DAMAGE[attack]
    refund_from_bank(
        refund_id=new_id(),
        order_id=old_order.pk,
        bank_transfer=BankTransfer("TRF-1", 18_00, [item.pk for item in old_order.items.all()]),
        booked_by_id=payment_of(old_order).payer_id,
        cause=Cause("user", actor="finance", reason="Card closed."),
    )

    with as_owner(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL session_replication_role = replica; {sql}")

    assert any(word in str(fault) for _, fault in faults_of_ledger())
