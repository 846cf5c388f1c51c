"""What Hyperswitch's lists contain and we do not have is imported, as its webhook would be."""

import pytest
from celery.exceptions import SoftTimeLimitExceeded

from connect.models import SellerTransfer
from connect.settlement.reconcile_seller import net_paid
from marketplace.models import License
from payments.hyperswitch import client as hyperswitch_api
from payments.hyperswitch.objects import Unreadable
from payments.models import Dispute, Posting, Refund
from payments.reconciliation import listings as listings
from payments.reconciliation import refresh as reconcile
from tests.buying import deliver, deliver_refund, envelope, order_of, payment_of, refund_of, two_sellers_order
from tests.factories import OfferFactory
from veza.backoffice.proof import prove_payment
from veza.core.models import Heartbeat, ReviewItem

pytestmark = pytest.mark.django_db


def external_refund(sandbox, order, amount: int, **payload) -> dict:
    key = payment_of(order).provider_key
    return sandbox.control("dashboard_refunds", payment_id=key, amount=amount, silent=True, **payload)


def compare() -> listings.Findings:
    return listings.compare(cause=reconcile.by_reconciler())


def test_an_external_refund_is_imported_with_its_items_and_a_review_item(sandbox, order):
    external_refund(sandbox, order, 18_00, status="succeeded")

    assert compare().imports == 1

    order.refresh_from_db()
    assert (order.status, Refund.objects.get().source) == ("refunded", "external")
    assert not License.objects.filter(status="active").exists()
    assert sum(net_paid(row) for row in SellerTransfer.objects.all()) == 0
    assert ReviewItem.objects.get().kind == "external_refund"
    assert prove_payment(payment_of(order)).is_balanced


def test_a_partial_external_refund_leaves_the_licenses(sandbox, order):
    external_refund(sandbox, order, 5_00, status="succeeded")

    compare()

    order.refresh_from_db()
    assert (order.status, License.objects.filter(status="active").count()) == ("completed", 2)
    assert payment_of(order).refunded_minor == 5_00
    assert prove_payment(payment_of(order)).is_balanced


def test_comparing_again_imports_nothing(sandbox, order):
    external_refund(sandbox, order, 5_00, status="succeeded")
    compare()

    assert compare().imports == 0
    assert Refund.objects.count() == 1


def test_the_webhook_after_the_comparison_changes_nothing(sandbox, order):
    remote = external_refund(sandbox, order, 5_00, status="succeeded")
    compare()
    postings = Posting.objects.count()

    assert deliver(envelope("refund_succeeded", remote)).json() == {"result": "skipped: stale"}
    assert Posting.objects.count() == postings


def test_a_dispute_whose_webhook_never_arrived_is_imported(sandbox, order):
    sandbox.control("disputes", payment_id=payment_of(order).provider_key, amount=18_00, silent=True)

    compare()

    assert Dispute.objects.get().status == "opened"
    assert set(License.objects.values_list("status", flat=True)) == {"suspended"}


def test_a_refund_of_a_payment_without_an_update_applies_the_payment_first(sandbox):
    order = two_sellers_order()
    sandbox.pay(payment_of(order).provider_key)
    external_refund(sandbox, order, 18_00, status="succeeded")

    compare()

    order.refresh_from_db()
    assert (order.status, payment_of(order).received_minor) == ("refunded", 18_00)


def test_a_refund_of_a_payment_that_is_not_ours_changes_nothing(sandbox):
    sandbox.hyperswitch("POST", "/payments", json={"payment_id": "pay_of_another", "amount": 100, "currency": "EUR"})
    sandbox.control("payments/pay_of_another", status="succeeded", silent=True)
    sandbox.control("dashboard_refunds", payment_id="pay_of_another", amount=100, status="succeeded", silent=True)

    assert compare().imports == 0
    assert not Refund.objects.exists()


def test_every_page_of_a_list_is_read(sandbox, order, monkeypatch):
    monkeypatch.setattr("payments.hyperswitch.client.PAGE", 2)
    for _ in range(5):
        external_refund(sandbox, order, 1_00, status="succeeded")

    found = compare()

    assert (found.entries, found.imports, found.complete) == (5, 5, True)


def test_a_list_that_cannot_be_read_is_reported(sandbox, order):
    sandbox.fault("status", "^/disputes/list", method="GET", when="before", status=500)

    assert not compare().complete

    beat = Heartbeat.objects.get(name=listings.WORKER)
    assert (beat.failed, "/disputes/list" in beat.last_error) == (1, True)


def test_an_object_that_cannot_be_applied_is_counted_and_stops_no_other(sandbox, order, monkeypatch, caplog):
    bad = external_refund(sandbox, order, 1_00, status="succeeded")
    external_refund(sandbox, order, 5_00, status="succeeded")
    apply = listings._apply
    monkeypatch.setattr(
        listings,
        "_apply",
        lambda listing, one, **how: 1 / (one.refund_id != bad["refund_id"]) and apply(listing, one, **how),
    )

    assert (compare().imports, compare().failures) == (1, 1)

    (record_of_failure, _again) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert all(word in record_of_failure.getMessage() for word in ("reconcile", "drift_failed", bad["refund_id"]))


def test_an_unreadable_object_is_counted_and_stops_no_other(sandbox, order, monkeypatch):
    external_refund(sandbox, order, 5_00, status="succeeded")
    rows = iter([Unreadable("amount should be an integer"), None])
    monkeypatch.setattr(hyperswitch_api, "_parse_entry", lambda row, parse: next(rows, None) or parse(row))
    external_refund(sandbox, order, 1_00, status="succeeded")

    findings = compare()

    assert (findings.entries, findings.imports, findings.failures) == (2, 1, 1)
    assert "amount should be an integer" in findings.last_error


def test_a_comparison_out_of_time_ends_and_leaves_no_heartbeat(sandbox, order, monkeypatch):
    external_refund(sandbox, order, 1_00, status="succeeded")

    def too_late(*_args, **_how):
        raise SoftTimeLimitExceeded

    monkeypatch.setattr(listings, "_apply", too_late)

    with pytest.raises(SoftTimeLimitExceeded):
        compare()
    assert not Heartbeat.objects.filter(name="payments.compare_lists").exists()


def test_disputes_are_compared_before_refunds(sandbox):
    compare()

    paths = [call["path"].split("?")[0] for call in sandbox.calls()]
    assert list(dict.fromkeys(paths)) == ["/disputes/list", "/refunds/list", "/payments/list"]


def test_a_comparison_leaves_a_heartbeat_with_its_counts(sandbox, order):
    external_refund(sandbox, order, 1_00, status="succeeded")

    compare()

    beat = Heartbeat.objects.get(name="payments.compare_lists")
    assert (beat.done, beat.failed) == (1, 0)


def test_a_refund_beyond_the_remaining_amount_is_partly_recoverable(sandbox, order):
    deliver_refund(refund_of(order))
    payload = {"refund_id": "ref_more", "payment_id": payment_of(order).provider_key, "status": "succeeded"}

    deliver(envelope("refund_succeeded", {**payload, "amount": 4_00, "currency": "EUR"}))

    terms = {term.label: term.booked_minor for term in prove_payment(payment_of(order)).terms}
    assert (terms["refunded"], terms["recoverable"]) == (22_00, 4_00)
    assert prove_payment(payment_of(order)).is_balanced
    assert ReviewItem.objects.filter(kind="external_refund").count() == 1


def test_an_external_refund_of_an_unapplied_payment_takes_unapplied_funds(sandbox):
    order = order_of(OfferFactory())
    payment = payment_of(order)
    from_payment = {"payment_id": payment.provider_key, "status": "partially_captured", "amount": 12_00}
    deliver(envelope("payment_captured", {**from_payment, "amount_received": 5_00, "currency": "EUR"}))
    payload = {"refund_id": "ref_d", "payment_id": payment.provider_key, "status": "succeeded", "amount": 5_00}

    deliver(envelope("refund_succeeded", {**payload, "currency": "EUR"}))

    order.refresh_from_db()
    payment.refresh_from_db()
    assert (payment.status, order.status) == ("cancelled", "cancelled")
    assert prove_payment(payment).is_balanced
