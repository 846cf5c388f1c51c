"""Calls to Hyperswitch: four outcomes, and the rows that each leaves behind."""

from dataclasses import replace

import pytest
from django.utils.dateparse import parse_datetime

from marketplace.models import Order
from payments import tasks
from payments.collection import payment_requests as payment_requests
from payments.collection.payment_requests import send_payment
from payments.hyperswitch import client as hyperswitch_api
from payments.models import Payment, Refund
from tests.buying import (
    deliver,
    envelope,
    order_of,
    paid,
    payment_object,
    payment_of,
    refund_of,
    two_sellers_order,
)
from tests.factories import OfferFactory
from veza.core.causes import by_sweep
from veza.core.models import ProviderCall
from veza.core.outcomes import Accepted, NotSent, Refused, Unknown

pytestmark = pytest.mark.django_db
SWEEP = by_sweep("test")


def test_a_payment_without_an_idempotency_key_is_a_loud_error(sandbox):
    with pytest.raises(ValueError, match="without an idempotency key"):
        hyperswitch_api.create_payment({"payment_id": "pay_1", "amount": 1, "currency": "EUR"}, idempotency_key="")

    assert sandbox.calls() == []


def test_a_refund_without_an_idempotency_key_is_a_loud_error(sandbox):
    with pytest.raises(ValueError, match="without an idempotency key"):
        hyperswitch_api.create_refund({"refund_id": "ref_1", "amount": 1}, currency="EUR", idempotency_key=" ")

    assert sandbox.calls() == []


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("fault", ["drop", "half_body", "html", "wrong_json"])
def test_an_unreadable_answer_leaves_the_order_pending_until_the_sweep(sandbox, fault, when):
    sandbox.fault(fault, "^/payments$", method="POST", when=when)
    order = order_of(OfferFactory())
    assert (order.status, payment_of(order).status) == ("pending", "created")

    payment_requests.check_payment(payment_of(order).pk, cause=SWEEP)

    assert payment_of(order).status == "pending"
    assert payment_of(order).payment_url


@pytest.mark.parametrize("status", [500, 502, 409, 429, 408])
def test_statuses_that_say_nothing_about_the_money_are_unknown(sandbox, status):
    sandbox.fault("status", "^/payments$", method="POST", when="before", status=status)

    order = order_of(OfferFactory())

    assert payment_of(order).status == "created"
    assert ProviderCall.objects.get().outcome == "unknown"


def test_a_refused_payment_fails_the_order(sandbox, settings):
    settings.HYPERSWITCH_PROFILE_ID = ""
    sandbox.fault(
        "status",
        "^/payments$",
        method="POST",
        when="before",
        status=400,
        body={"error": {"type": "invalid_request", "code": "IR_39", "message": "No eligible connector"}},
    )

    order = order_of(OfferFactory())

    assert (order.status, payment_of(order).error_code) == ("failed", "IR_39")


def test_a_wrong_api_key_changes_nothing_and_names_the_setting(sandbox, settings):
    settings.HYPERSWITCH_API_KEY = "snd_wrong"

    order = order_of(OfferFactory())

    assert order.status == "pending"
    call = ProviderCall.objects.get()
    assert (call.outcome, "HYPERSWITCH_API_KEY" in call.detail) == ("not sent", True)


def test_a_provider_that_is_not_there_was_not_sent_anything(sandbox, settings):
    settings.HYPERSWITCH_BASE_URL = "http://127.0.0.1:9"

    assert isinstance(hyperswitch_api.read_payment("pay_1"), NotSent)


def test_reading_what_does_not_exist_is_refused_with_the_providers_code(sandbox):
    outcome = hyperswitch_api.read_refund("ref_nothing")

    assert isinstance(outcome, Refused)
    assert outcome.code == "HE_02"


def test_a_redirect_is_not_followed(sandbox):
    sandbox.fault("status", "^/payments/", method="GET", status=302, headers={"Location": f"{sandbox.url}/health"})

    assert isinstance(hyperswitch_api.read_payment("pay_1"), Unknown)


def test_a_body_without_end_is_not_read(sandbox, monkeypatch):
    monkeypatch.setattr(hyperswitch_api, "MAX_ANSWER_BYTES", 10)
    order = order_of(OfferFactory())

    assert payment_of(order).status == "created"


def test_a_slow_body_ends_at_the_deadline(sandbox, settings):
    settings.HYPERSWITCH_DEADLINE_SECONDS = 0
    order = order_of(OfferFactory())

    assert payment_of(order).status == "created"


def test_a_repeated_send_finds_the_first_payment(sandbox):
    order = order_of(OfferFactory())

    outcome = payment_requests.send_payment(payment_of(order).pk, cause=SWEEP)

    assert isinstance(outcome, Accepted)
    assert outcome.value.payment_id == payment_of(order).provider_key


def test_a_lost_refund_answer_leaves_one_refund_and_its_order_pending(sandbox):
    order = paid(two_sellers_order())
    sandbox.pay(payment_of(order).provider_key)
    sandbox.fault("drop", "^/refunds$", method="POST", when="after")

    refund = refund_of(order)
    make_everything_due()
    tasks.resend()

    refund.refresh_from_db()
    assert (refund.status, refund.hyperswitch_refund_id) == ("pending", refund.provider_key)
    assert Order.objects.get().status == "refund_pending"


def make_everything_due() -> None:
    for model in (Payment, Refund):
        model.objects.filter(next_attempt_at__isnull=False).update(next_attempt_at="2020-01-01T00:00:00Z")


@pytest.fixture
def unanswered(sandbox) -> Payment:
    """A payment that Hyperswitch made, and whose answer was lost."""
    sandbox.fault("drop", "^/payments$", method="POST", when="after")
    return payment_of(order_of(OfferFactory()))


def test_a_late_answer_overwrites_nothing_that_a_webhook_brought(unanswered):
    raw = payment_object(unanswered, status="requires_capture", amount_received=None)
    deliver(envelope("payment_authorized", raw))

    send_payment(unanswered.pk, cause=SWEEP)

    payment = Payment.objects.get()
    assert (payment.status, payment.provider_status) == ("pending", "requires_capture")
    assert payment.provider_status_at == parse_datetime(raw["updated"])


def test_an_answer_without_a_page_leaves_the_page(unanswered):
    send_payment(unanswered.pk, cause=SWEEP)
    page = Payment.objects.get().payment_url
    answer = hyperswitch_api.read_payment(unanswered.provider_key)
    other = replace(answer, value=replace(answer.value, payment_url=""))

    payment_requests._record_outcome(unanswered.pk, other, cause=SWEEP)

    assert page
    assert Payment.objects.get().payment_url == page


def test_a_late_refusal_does_not_fail_an_acknowledged_payment(sandbox, unanswered):
    send_payment(unanswered.pk, cause=SWEEP)
    sandbox.reset()
    refusal = hyperswitch_api.read_payment(unanswered.provider_key)
    assert isinstance(refusal, Refused)

    payment_requests._record_outcome(unanswered.pk, refusal, cause=SWEEP)

    assert Payment.objects.get().status == "pending"
