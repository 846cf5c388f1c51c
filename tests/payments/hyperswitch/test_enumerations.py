"""Every value of Hyperswitch's lists has a deliberate place in Veza; one that is in none of them is a review item."""

import html

import pytest

from payments.collection.payment_changes import NOTES, STATUS_OF
from payments.collection.saved_methods import MAY_BE_CHARGED
from payments.models import Dispute, Payment, Posting
from payments.states import DisputeStatus, PaymentStatus
from payments.webhooks import HANDLERS, IGNORED
from tests.buying import (
    ago,
    deliver,
    deliver_dispute,
    deliver_payment,
    dispute_object,
    envelope,
    order_of,
    paid,
    payment_object,
    payment_of,
    refund_object,
    refund_of,
)
from tests.factories import OfferFactory
from tests.payments.hyperswitch import enumerations
from veza.core.models import ReviewItem

pytestmark = pytest.mark.django_db
WAITING = sorted(status for status, ours in STATUS_OF.items() if ours == PaymentStatus.PENDING)


@pytest.fixture
def payment(sandbox):
    return payment_of(order_of(OfferFactory()))


def report(payment: Payment, status: str, **fields) -> str:
    """Deliver the status with the event that it emits; what has none is put into any."""
    event_type = enumerations.INTENT_STATUSES.get(status) or "action_required"
    answer = deliver(envelope(event_type, payment_object(payment, status=status, **fields)))
    assert answer.status_code == 200
    payment.refresh_from_db()
    return answer.json()["result"]


def open_kinds() -> set[str]:
    return set(ReviewItem.objects.filter(closed_at__isnull=True).values_list("kind", flat=True))


def test_every_type_of_event_is_handled_or_ignored_on_purpose():
    assert set(enumerations.EVENT_TYPES) == set(HANDLERS)
    assert all(reason.endswith(".") for reason in IGNORED.values())


def test_every_status_of_a_payment_and_a_mandate_is_known():
    assert set(enumerations.INTENT_STATUSES) == set(STATUS_OF)
    assert set(NOTES) < set(STATUS_OF)
    assert set(enumerations.MANDATE_STATUSES) == set(MAY_BE_CHARGED)


def test_every_status_of_a_dispute_is_one_of_ours():
    assert set(enumerations.DISPUTE_STATUSES) == {f"dispute_{status}" for status in DisputeStatus}


@pytest.mark.parametrize("status", enumerations.INTENT_STATUSES)
def test_every_new_status_of_a_payment_is_applied_once(payment, status):
    results = [report(payment, status, updated=at) for at in [ago(minutes=-1)] * 2]

    assert results == ["ok", "skipped: stale"]
    assert payment.status in (STATUS_OF[status], PaymentStatus.MISMATCHED)
    assert payment.provider_status == status


@pytest.mark.parametrize("status", WAITING)
def test_a_status_that_moves_nothing_is_stored_and_an_older_one_is_stale(payment, status):
    assert report(payment, status, amount_received=None, updated=ago(minutes=-2)) == "ok"
    assert report(payment, "requires_payment_method", updated=ago(minutes=-1)) == "skipped: stale"

    assert (payment.status, payment.provider_status) == ("pending", status)
    assert not Posting.objects.exists()
    assert open_kinds() == set()


@pytest.mark.parametrize("status", WAITING)
def test_a_waiting_payment_succeeds_also_by_an_earlier_update(payment, status):
    report(payment, status, amount_received=None, updated=ago(minutes=-2))

    assert report(payment, "succeeded", updated=ago(minutes=-1)) == "ok"

    assert payment.status == "succeeded"
    assert report(payment, status, amount_received=None, updated=ago(minutes=-2)) == "skipped: stale"


def test_a_second_decline_with_another_reason_is_stored(payment):
    report(payment, "failed", amount_received=None, error_code="card_declined")

    assert report(payment, "failed", amount_received=None, error_code="expired_card") == "ok"

    assert (payment.status, payment.error_code) == ("failed", "expired_card")


@pytest.mark.parametrize("status", sorted(NOTES))
def test_a_payments_page_says_what_it_waits_for(payment, status, admin_client):
    report(payment, status, amount_received=None)

    page = admin_client.get(f"/admin/payments/payment/{payment.pk}/change/")

    assert NOTES[status] in html.unescape(page.content.decode())


def test_an_unknown_status_of_a_payment_is_a_review_item_until_it_is_known(payment):
    assert report(payment, "frozen") == "skipped: ignored"
    assert open_kinds() == {"payment_status_unknown"}

    assert report(payment, "requires_customer_action", amount_received=None) == "ok"

    assert open_kinds() == set()
    assert payment.error_code == ""


def test_a_part_that_was_captured_is_booked_and_needs_review(payment):
    report(payment, "partially_captured_and_capturable", amount_received=5_00)

    assert (payment.status, payment.received_minor) == ("mismatched", 5_00)
    assert open_kinds() == {"payment_mismatch"}


@pytest.mark.parametrize("status", [*enumerations.REFUND_STATUSES, "frozen"])
def test_every_status_of_a_refund_is_applied_an_unknown_one_needs_review(sandbox, status):
    order = paid(order_of(OfferFactory()))
    sandbox.pay(payment_of(order).provider_key)
    refund = refund_of(order)

    answer = deliver(envelope("refund_failed", refund_object(refund, status=status)))

    refund.refresh_from_db()
    assert (answer.status_code, answer.json()) == (200, {"result": "ok"})
    assert refund.status == (status if status in ("succeeded", "failed") else "pending")
    assert open_kinds() == ({"refund_in_doubt"} if status in ("review", "frozen") else set())


@pytest.mark.parametrize("status", enumerations.DISPUTE_STATUSES)
def test_every_status_of_a_dispute_is_applied(sandbox, status):
    payment = payment_of(paid(order_of(OfferFactory())))

    assert deliver_dispute(payment, status.removeprefix("dispute_")).json() == {"result": "ok"}
    assert Dispute.objects.get().status == status.removeprefix("dispute_")


@pytest.mark.parametrize("stage", [*enumerations.DISPUTE_STAGES, "appeal"])
def test_every_stage_of_a_dispute_is_stored(sandbox, stage):
    payment = payment_of(paid(order_of(OfferFactory())))

    assert deliver_dispute(payment, "opened", dispute_stage=stage).json() == {"result": "ok"}
    assert Dispute.objects.get().stage == stage


def test_an_unknown_status_of_a_dispute_is_a_review_item(sandbox):
    payment = payment_of(paid(order_of(OfferFactory())))
    payload = dispute_object(payment=payment, amount_minor=1_00, status="dispute_frozen")

    assert deliver(envelope("dispute_opened", payload)).json() == {"result": "skipped: ignored"}
    assert open_kinds() == {"dispute_status_unknown"}


def test_a_dispute_that_names_another_payment_changes_nothing(sandbox):
    payment, other = (payment_of(paid(order_of(OfferFactory()))) for _ in range(2))
    deliver_dispute(payment, "opened")

    assert deliver_dispute(other, "lost").json() == {"result": "skipped: ignored"}

    assert Dispute.objects.get().status == "opened"
    assert "unreadable_event" in open_kinds()


def test_a_refund_that_names_another_payment_changes_nothing(sandbox):
    payment, other = (payment_of(paid(order_of(OfferFactory()))) for _ in range(2))
    payload = {"refund_id": "ref_1", "status": "succeeded", "amount": 1_00, "currency": "EUR"}
    deliver(envelope("refund_succeeded", {**payload, "payment_id": payment.provider_key}))

    answer = deliver(envelope("refund_failed", {**payload, "status": "failed", "payment_id": other.provider_key}))

    assert answer.json() == {"result": "skipped: ignored"}
    assert payment.refunds.get().status == "succeeded"


def test_a_refund_of_nothing_changes_nothing(payment):
    deliver_payment(payment)
    payload = {"refund_id": "ref_1", "status": "succeeded", "amount": 0, "currency": "EUR"}

    answer = deliver(envelope("refund_succeeded", {**payload, "payment_id": payment.provider_key}))

    assert answer.json() == {"result": "skipped: ignored"}
    assert not payment.refunds.exists()
