"""A saved method is charged without the buyer; a page that must not be paid any more is closed."""

from dataclasses import fields
from datetime import timedelta
from unittest.mock import Mock

import pytest
from django.conf import settings as project_settings
from django.db import transaction
from django.utils import timezone

from payments import ports
from payments.collection.payment_requests import cancel_payment, check_payment, open_payment, send_payment
from payments.collection.saved_methods import saves_method
from payments.models import Payment, RevokedMandate
from payments.ports import Purchase
from tests.factories import PersonFactory
from veza.core.causes import by_sweep
from veza.core.ids import new_id

pytestmark = pytest.mark.django_db
SWEEP = by_sweep("test")


def payment_for(payer, *, purpose_id=None, **options) -> Payment:
    purpose_id = purpose_id or new_id()
    with transaction.atomic():
        return open_payment(
            payment_id=new_id(),
            purpose=Payment.Purpose.INVOICE,
            purpose_id=purpose_id,
            correlation_id=purpose_id,
            payer_id=payer.pk,
            amount_minor=9_90,
            currency="EUR",
            description="Creator",
            return_url=f"{project_settings.PUBLIC_BASE_URL}/paid",
            **options,
        )


def send(payment: Payment) -> Payment:
    send_payment(payment.pk, cause=SWEEP)
    payment.refresh_from_db()
    return payment


@pytest.fixture
def nothing_follows(monkeypatch):
    """The payments of these tests belong to no order or invoice."""
    follow = Mock(spec=[field.name for field in fields(Purchase)])
    monkeypatch.setitem(ports._purchases, "invoice", follow)
    monkeypatch.setitem(ports._purchases, "order", follow)


def test_a_saved_method_is_charged_without_the_buyer(sandbox, nothing_follows):
    payer = PersonFactory()
    first = send(payment_for(payer, future_usage="off_session"))
    sandbox.pay(first.provider_key)
    check_payment(first.pk, cause=SWEEP)
    first.refresh_from_db()

    second = send(payment_for(payer, charges_method=first.payment_method_id))

    assert first.payment_method_id.startswith("pm_")
    assert (second.status, second.payment_url) == ("pending", "")
    assert sandbox.hyperswitch("GET", f"/payments/{second.provider_key}").json()["status"] == "succeeded"


def test_a_payment_that_saves_no_method_requests_none(sandbox, nothing_follows):
    payment = send(payment_for(PersonFactory()))
    sandbox.pay(payment.provider_key)
    check_payment(payment.pk, cause=SWEEP)

    payment.refresh_from_db()
    assert (payment.status, payment.payment_method_id) == ("succeeded", "")


def test_a_closed_page_is_cancelled_at_the_provider(sandbox, nothing_follows):
    payment = send(payment_for(PersonFactory()))

    assert cancel_payment(payment.pk, reason="abandoned", cause=SWEEP).status == "cancelled"

    assert sandbox.pay(payment.provider_key).status_code == 409


def test_a_page_that_was_paid_meanwhile_is_applied_and_not_cancelled(sandbox, nothing_follows):
    payment = send(payment_for(PersonFactory()))
    sandbox.pay(payment.provider_key)

    assert cancel_payment(payment.pk, reason="abandoned", cause=SWEEP).status == "succeeded"


def test_a_payment_the_provider_does_not_know_is_cancelled_here(sandbox, nothing_follows):
    payment = payment_for(PersonFactory())

    assert cancel_payment(payment.pk, reason="abandoned", cause=SWEEP).status == "cancelled"


def test_a_cancellation_without_an_answer_changes_nothing(sandbox, nothing_follows):
    payment = send(payment_for(PersonFactory()))
    sandbox.fault("drop", "/cancel$", method="POST", when="before")

    assert cancel_payment(payment.pk, reason="abandoned", cause=SWEEP).status == "pending"


def test_money_on_a_failed_payment_is_booked_while_a_newer_one_waits(sandbox, nothing_follows):
    payer, purpose_id = PersonFactory(), new_id()
    first = send(payment_for(payer, purpose_id=purpose_id))
    sandbox.pay(first.provider_key, "decline")
    check_payment(first.pk, cause=SWEEP)
    send(payment_for(payer, purpose_id=purpose_id))

    sandbox.pay(first.provider_key)
    check_payment(first.pk, cause=SWEEP)

    first.refresh_from_db()
    assert (first.status, first.received_minor) == ("succeeded", 9_90)


def test_a_method_that_was_revoked_is_saved_again_by_a_later_payment():
    first = payment_for(PersonFactory(), charges_method="pm_1")
    RevokedMandate.objects.create(mandate_id="man_1", payment_method_id="pm_1")

    later = payment_for(PersonFactory(), charges_method="pm_1")
    Payment.objects.filter(pk=later.pk).update(created_at=timezone.now() + timedelta(seconds=1))

    assert [saves_method(Payment.objects.get(pk=one.pk)) for one in (first, later)] == [False, True]
