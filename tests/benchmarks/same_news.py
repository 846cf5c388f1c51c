"""The same news a thousand times, by hand: pytest tests/benchmarks/same_news.py -s

    TIMES=1000 AT_ONCE=64 RACES=500 pytest tests/benchmarks/same_news.py -s

gunicorn with two workers of four threads, over loopback. One refund's webhook comes TIMES times, one after another and
then AT_ONCE at once; RACES refunds are read by the reconciler and told of by their webhook in the same moment. Prints
how long it took, and asserts that each was booked once, that each delivery was logged and that none was turned away.
"""

import os
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from statistics import quantiles

import pytest

from marketplace.models import Order
from payments.models import Payment, Refund, WebhookDelivery
from payments.reconciliation.refresh import by_reconciler, refresh_refund
from tests.buying import deliver_over_http, envelope, paid, payment_of, refund_object, refund_of, two_sellers_order
from tests.crowd import together
from veza.backoffice.proof import prove_payment

pytestmark = pytest.mark.django_db(transaction=True)
TIMES = int(os.environ.get("TIMES", "1000"))
AT_ONCE = int(os.environ.get("AT_ONCE", "64"))
RACES = int(os.environ.get("RACES", "500"))
# The webhook comes so much later at most: asking takes that long, and either may be first.
SPREAD_SECONDS = 0.03
ONE_TOLD = {(200, "ok"): 1, (200, "skipped: duplicate"): TIMES - 1}


def deliver(address: str, raw: bytes) -> tuple[int, str]:
    answer = deliver_over_http(address, raw)
    return answer.status_code, answer.json()["result"]


def refund_on_its_way(sandbox) -> Refund:
    order: Order = paid(two_sellers_order())
    sandbox.pay(payment_of(order).provider_key)
    return refund_of(order)


def booked_once(refund: Refund) -> bool:
    payment = Payment.objects.get(refunds=refund)
    return payment.refunded_minor == refund.amount_minor and not prove_payment(payment).differences


def test_one_delivery_again_and_again(sandbox, address):
    refund, taken = refund_on_its_way(sandbox), []
    raw = envelope("refund_succeeded", refund_object(refund))

    answers = Counter()
    for _ in range(TIMES):
        begun = time.perf_counter()
        answers[deliver(address, raw)] += 1
        taken.append((time.perf_counter() - begun) * 1_000)

    cuts = quantiles(taken, n=100, method="inclusive")
    print(f"\n{TIMES} times one after another: p50 {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms, max {max(taken):.1f} ms")
    assert (answers, booked_once(refund)) == (ONE_TOLD, True)
    assert WebhookDelivery.objects.filter(event_type="refund_succeeded").count() == TIMES


def test_one_delivery_many_at_once(sandbox, address):
    refund = refund_on_its_way(sandbox)
    raw = envelope("refund_succeeded", refund_object(refund))

    begun = time.perf_counter()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = Counter(pool.map(lambda _: deliver(address, raw), range(TIMES)))

    print(f"\n{TIMES} times, {AT_ONCE} at once: {time.perf_counter() - begun:.1f} s")
    assert (answers, booked_once(refund)) == (ONE_TOLD, True)
    assert WebhookDelivery.objects.filter(event_type="refund_succeeded").count() == TIMES


def test_the_reconciler_against_the_webhook(sandbox, address):
    refunds, first = [refund_on_its_way(sandbox) for _ in range(RACES)], Counter()
    for number, refund in enumerate(refunds):
        sandbox.control(f"refunds/{refund.provider_key}", status="succeeded", silent=True)
        raw = envelope("refund_succeeded", refund_object(refund))

        def webhook(raw: bytes = raw, after_seconds: float = SPREAD_SECONDS * number / RACES) -> None:
            time.sleep(after_seconds)
            status, result = deliver(address, raw)
            assert status == 200
            first["the webhook" if result == "ok" else "the reconciler"] += 1

        together(webhook, lambda refund=refund: refresh_refund(refund.pk, cause=by_reconciler()))

    print(f"\n{RACES} races, booked first by: {dict(first)}")
    assert all(booked_once(refund) for refund in refunds)
