"""Every refund of an order is told: to its buyer, to each seller their own part, and to staff."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from marketplace.models import Order
from marketplace.refund_decisions import decline_refund
from payments.models import Refund
from tests.buying import (
    ago,
    application_of,
    deliver,
    deliver_refund,
    envelope,
    order_of,
    paid,
    payment_of,
    refund_of,
    support,
)
from tests.factories import OfferFactory, PersonFactory
from tests.marketplace.conftest import client_of
from veza.core.causes import Cause

pytestmark = pytest.mark.django_db
ORDERS = "/api/v1/marketplace/orders"
WITHDRAW = "/api/v1/marketplace/refunds"
BY_SUPPORT = Cause("staff", actor="ada@staff.example", reason="It was printed.")


def listed(order: Order, user) -> list[dict]:
    answer = client_of(user).get(f"{ORDERS}/{order.pk}/refunds")
    assert answer.status_code == 200
    return answer.json()["results"]


def post_refund(order: Order, user, **body):
    return client_of(user).post(f"{ORDERS}/{order.pk}/refund", {"reason": "No."} | body, format="json")


def test_a_buyer_sees_each_refund_with_items_amount_and_status(order):
    first, second = order.items.order_by("net_minor")
    deliver_refund(refund_of(order, requested_by=first.seller, item_ids=[first.pk]))
    refund_of(order, item_ids=[second.pk])

    newest, oldest = listed(order, order.buyer)

    assert (newest["status"], newest["amount_minor"], newest["requested_by"]) == ("pending", 12_00, "buyer")
    assert newest["items"] == [{"id": str(second.pk), "title": second.title, "amount_minor": 12_00}]
    assert (oldest["status"], oldest["amount_minor"], oldest["requested_by"]) == ("succeeded", 6_00, "seller")


def test_a_failed_refund_is_told_in_words_without_the_providers(order):
    deliver_refund(refund_of(order), status="failed", error_code="54", error_message="acct_1 has no credit")

    (refund,) = listed(order, order.buyer)

    assert (refund["status"], refund["amount_minor"]) == ("failed", 18_00)
    assert refund["explanation"] == "Our payment provider or the bank refused it."
    assert "acct_1" not in str(refund)


def test_a_returned_refund_is_told(order):
    refund = refund_of(order)
    deliver_refund(refund)
    deliver_refund(refund, status="failed")

    (told,) = listed(order, order.buyer)

    assert told["status"] == "returned"
    assert "our support pays it another way" in told["explanation"]


def test_an_order_no_longer_says_none_after_a_failed_refund(order):
    api = client_of(order.buyer)
    deliver_refund(refund_of(order), status="failed")

    payload = api.get(f"{ORDERS}/{order.pk}").json()

    assert (payload["status"], payload["refund"]) == ("completed", "failed")
    assert [refund["status"] for refund in payload["refunds"]] == ["failed"]
    assert api.get(ORDERS).json()["results"][0]["refund"] == "failed"


def test_an_order_says_that_its_refund_was_returned(order):
    refund = refund_of(order)
    deliver_refund(refund)
    deliver_refund(refund, status="failed")

    assert client_of(order.buyer).get(f"{ORDERS}/{order.pk}").json()["refund"] == "returned"


def test_a_seller_sees_their_own_items_and_amounts_only(order):
    first, second = order.items.order_by("net_minor")
    refund_of(order)

    (refund,) = listed(order, first.seller)

    assert (refund["amount_minor"], [item["id"] for item in refund["items"]]) == (6_00, [str(first.pk)])
    assert refund["reason"] is None
    deliver_refund(Refund.objects.get(), status="failed")
    refund_of(order, item_ids=[second.pk])
    assert len(listed(order, first.seller)) == 1


def test_a_buyer_does_not_read_what_staff_wrote(order):
    refund_of(order, requested_by=support(), amount_minor=1_00)

    assert listed(order, order.buyer)[0]["reason"] is None
    assert listed(order, support())[0]["reason"] == "It does not open."


def test_a_refund_at_the_dashboard_has_no_reason_for_the_buyer(order):
    payload = {"refund_id": "ref_there", "payment_id": payment_of(order).provider_key, "status": "succeeded"}
    deliver(envelope("refund_succeeded", {**payload, "amount": 2_00, "currency": "EUR"}))

    (refund,) = listed(order, order.buyer)

    assert (refund["requested_by"], refund["amount_minor"], refund["reason"]) == ("veza", 2_00, None)


@pytest.mark.parametrize(("user", "status"), [(PersonFactory, 404), (lambda: PersonFactory(is_staff=True), 403)])
def test_others_read_no_refunds(order, user, status):
    assert client_of(user()).get(f"{ORDERS}/{order.pk}/refunds").status_code == status


def test_a_request_beyond_the_limit_is_answered_as_requested(order, settings):
    settings.SELF_SERVICE_REFUNDS_PER_30_DAYS = 1
    deliver_refund(refund_of(order))
    second = paid(order_of(OfferFactory(), buyer=order.buyer))

    answer = post_refund(second, order.buyer)

    payload = answer.json()
    assert (answer.status_code, payload["status"], payload["refund"]["status"]) == (202, "requested", "requested")
    assert "Our support decides" in payload["message"]
    assert not Refund.objects.filter(payment=payment_of(second)).exists()


def test_a_retry_under_the_same_key_is_the_same_request(order, settings):
    settings.SELF_SERVICE_REFUNDS_PER_30_DAYS = 1
    deliver_refund(refund_of(order))
    second = paid(order_of(OfferFactory(), buyer=order.buyer))
    api, body = client_of(order.buyer), {"reason": "No."}

    first, again = (
        api.post(f"{ORDERS}/{second.pk}/refund", body, format="json", headers={"Idempotency-Key": "one"})
        for _ in range(2)
    )

    assert first.json()["refund"]["id"] == again.json()["refund"]["id"]


def limited(order: Order, settings):
    """An application of the order's buyer, about another order."""
    settings.SELF_SERVICE_REFUNDS_PER_30_DAYS = 1
    deliver_refund(refund_of(order))
    second = paid(order_of(OfferFactory(), buyer=order.buyer))
    return second, application_of(second)


def test_a_declined_request_stays_listed_with_its_reason(order, settings):
    second, application = limited(order, settings)
    decline_refund(application_id=application.pk, declined_by=support(), cause=BY_SUPPORT)

    (refund,) = listed(second, order.buyer)

    assert (refund["status"], refund["explanation"]) == ("declined", "It was printed.")
    assert listed(second, second.items.get().seller)[0]["explanation"] is None


def test_a_buyer_withdraws_a_request(order, settings):
    _, application = limited(order, settings)

    answer = client_of(order.buyer).post(f"{WITHDRAW}/{application.pk}/withdraw")

    assert (answer.status_code, answer.json()["status"]) == (200, "withdrawn")


def test_a_refund_is_not_withdrawn(order):
    refund = refund_of(order)

    answer = client_of(order.buyer).post(f"{WITHDRAW}/{refund.pk}/withdraw")

    assert (answer.status_code, Refund.objects.get().status) == (404, "pending")


def test_a_refund_that_takes_long_says_so(order, settings):
    refund_of(order)
    settings.REFUND_REVIEW_AFTER = timedelta(days=4)
    Refund.objects.update(created_at=ago(days=4, seconds=1))

    assert "longer than usual" in listed(order, order.buyer)[0]["explanation"]


def test_an_order_costs_the_same_with_one_refund_and_with_several(order):
    api, counts = client_of(order.buyer), []
    api.get(ORDERS)  # What a process remembers for some seconds is asked for now.
    for item in order.items.all():
        refund_of(order, item_ids=[item.pk])
        with CaptureQueriesContext(connection) as statements:
            api.get(f"{ORDERS}/{order.pk}")
        counts.append(len(statements))

    assert counts[0] == counts[1]


def test_a_buyer_who_names_an_amount_is_refused_in_the_api(order):
    answer = post_refund(order, order.buyer, amount_minor=order.total_minor - 1)

    assert (answer.status_code, answer.json()["code"]) == (403, "buyer_refunds_whole_items")


@pytest.mark.parametrize("user", ["buyer", "seller", "support"])
def test_a_reason_alone_refunds_all_that_its_requester_may(order, user):
    item = order.items.get(net_minor=10_00)
    who = {"buyer": order.buyer, "seller": item.seller, "support": support()}[user]

    answer = post_refund(order, who)

    assert answer.json()["refund"]["amount_minor"] == (12_00 if user == "seller" else 18_00)
