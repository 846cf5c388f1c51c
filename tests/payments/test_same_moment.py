"""Updates that arrive at the same moment over real HTTP: the first is applied, and none is refused."""

from collections import Counter

import pytest

from marketplace.models import License, Order
from payments.models import Payment, Refund, WebhookDelivery
from payments.reconciliation import refresh as reconcile
from tests.buying import (
    deliver_over_http,
    envelope,
    paid,
    payment_of,
    refund_object,
    refund_of,
    two_sellers_order,
)
from tests.crowd import CROWD, FIFTY, all_at_once, together
from tests.operators.production import wait_until
from tests.payments.builders import RECONCILE, handle_waiting_deliveries, make_older, open_reviews, six_deliveries
from veza.backoffice.proof import prove_payment

pytestmark = CROWD


@pytest.fixture
def deliver(live_server, settings):
    """Posts a delivery's bytes over HTTP; the status and result of the answer."""
    settings.ALLOWED_HOSTS = ["*"]

    def post(raw: bytes) -> tuple[int, str]:
        answer = deliver_over_http(live_server.url, raw)
        return answer.status_code, answer.json()["result"]

    return post


def refundable(sandbox) -> Order:
    order = paid(two_sellers_order())
    sandbox.pay(payment_of(order).provider_key)
    return order


def is_refunded_once(*refunds: Refund) -> bool:
    """Whether each refund is booked exactly once, and the books of its payment balance."""
    payments = Payment.objects.filter(refunds__in=refunds)
    return all(
        (payment.refunded_minor, prove_payment(payment).differences) == (payment.amount_minor, [])
        for payment in payments
    )


def test_one_event_fifty_times_at_once_is_applied_once_and_logged_50_times(sandbox, deliver):
    refund = refund_of(refundable(sandbox))
    raw = envelope("refund_succeeded", refund_object(refund))

    answers = Counter(all_at_once(lambda _: deliver(raw)))

    assert answers == {(200, "ok"): 1, (200, "skipped: duplicate"): FIFTY - 1}
    assert is_refunded_once(refund)
    assert WebhookDelivery.objects.filter(event_type="refund_succeeded").count() == FIFTY


def test_one_update_under_fifty_event_ids_at_once_is_applied_once(sandbox, deliver):
    refund = refund_of(refundable(sandbox))
    payload = refund_object(refund)

    answers = Counter(all_at_once(lambda _: deliver(envelope("refund_succeeded", payload))))

    assert answers == {(200, "ok"): 1, (200, "skipped: stale"): FIFTY - 1}
    assert is_refunded_once(refund)


@pytest.mark.parametrize("times", [1, 4])
def test_all_updates_of_an_order_at_once_end_as_in_any_order(sandbox, deliver, times):
    order = two_sellers_order()
    deliveries = six_deliveries(order, refund_minor=18_00, dispute_minor=18_00, ends="won") * times

    answers = all_at_once(lambda number: deliver(deliveries[number]), len(deliveries))
    handle_waiting_deliveries()

    assert {status for status, _ in answers} == {200}
    order.refresh_from_db()
    assert (order.status, Refund.objects.get().status, open_reviews()) == (
        "completed",
        "bounced",
        [("refund_returned", 18_00)],
    )
    assert set(License.objects.values_list("status", flat=True)) == {"active"}
    assert prove_payment(payment_of(order)).differences == []


def test_the_reconciler_and_the_webhook_at_once_book_a_refund_once(sandbox, deliver):
    refunds = [refund_of(refundable(sandbox)) for _ in range(10)]
    for refund in refunds:
        sandbox.control(f"refunds/{refund.provider_key}", status="succeeded", silent=True)
    make_older(Refund, minutes=31)
    late = [envelope("refund_succeeded", refund_object(refund)) for refund in refunds]

    together(lambda: reconcile.run(cause=RECONCILE), *[lambda raw=raw: deliver(raw) for raw in late])

    assert is_refunded_once(*refunds)
    assert set(Refund.objects.values_list("status", "next_attempt_at")) == {("succeeded", None)}


def test_a_webhook_faster_than_the_answer_is_applied_once(sandbox, deliver):
    order = refundable(sandbox)
    sandbox.fault("latency", "^/refunds$", method="POST", when="after", seconds=1)

    def webhook() -> None:
        refund = wait_until(lambda: Refund.objects.filter(first_sent_at__isnull=False).first(), seconds=20)
        assert refund.hyperswitch_refund_id is None
        assert deliver(envelope("refund_succeeded", refund_object(refund))) == (200, "ok")

    together(lambda: refund_of(order), webhook)

    refund = Refund.objects.get()
    assert (refund.status, refund.hyperswitch_refund_id) == ("succeeded", refund.provider_key)
    assert is_refunded_once(refund)
