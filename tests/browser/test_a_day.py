"""Support's, finance's and ops' day in a browser."""

import csv
from pathlib import Path

import pytest
import requests

from connect.models import SellerTransfer
from connect.reversals.reversal_requests import process_due
from connect.transfers.transfer_requests import send_due
from marketplace.models import Order
from tests.backoffice.conftest import staff
from tests.buying import deliver, deliver_refund, envelope, order_of, paid, payment_of, refund_of
from tests.connect.factories import make_seller
from tests.factories import OfferFactory, PersonFactory, ProductFactory

pytestmark = pytest.mark.django_db(transaction=True)


def bought(sandbox, **offer) -> Order:
    """An order that was paid at the provider, too."""
    order = order_of(OfferFactory(**offer), buyer=PersonFactory(email="ada@buyers.example"))
    sandbox.pay(payment_of(order).provider_key)
    return paid(order)


def test_support_settles_a_refund_whose_webhook_never_came(sandbox, desk):
    order = bought(sandbox)
    refund = refund_of(order)
    sandbox.control(f"refunds/{refund.provider_key}", status="succeeded", silent=True)
    desk.log_in(staff("support"))

    desk.search("ada@buyers.example")
    desk.page.get_by_role("link", name=str(order.pk)[-8:]).first.click()
    desk.page.get_by_role("heading", name="Money timeline").wait_for()
    assert "A refund of 12.00 EUR was asked for by the buyer" in desk.text()
    desk.confirm("Refresh from Hyperswitch", because="The buyer rang.")

    assert desk.page.inner_text(".head .badge") == "refunded"
    assert "support@staff.example pressed “Refresh from Hyperswitch” because: The buyer rang." in desk.text()
    assert desk.complaints == []


def test_finance_reads_why_a_reversal_was_given_up_and_has_it_tried_again(sandbox, desk):
    seller = make_seller(stripe_account_id=sandbox.create_account())
    order = bought(sandbox, product=ProductFactory(seller=seller))
    send_due()
    refused = {"error": {"type": "invalid_request_error", "code": "odd_refusal", "message": "Not on a Saturday."}}
    sandbox.fault("status", "/reversals$", method="POST", status=400, body=refused)
    deliver_refund(refund_of(order))
    process_due()
    desk.log_in(staff("finance"))

    desk.page.locator("li", has_text="given up: a person decides").get_by_role("link").click()
    desk.page.locator("#result_list th a").click()
    assert "Not on a Saturday." in desk.text()
    desk.confirm("Retry the reversal", because="It is Sunday.")
    process_due()
    desk.page.reload()

    assert SellerTransfer.objects.get(order=order).status == "reversed"
    assert desk.page.inner_text(".head .badge") == "reversed"
    assert desk.complaints == []


def test_ops_sees_a_wave_of_forgeries_and_takes_the_list_along(desk, settings):
    settings.HYPERSWITCH_WEBHOOK_SECRETS = ["the-right-secret"]
    for _ in range(4):
        deliver(envelope("payment_succeeded", {}), signature="00")
    desk.log_in(staff("ops"))

    desk.page.locator("li", has_text="bad signatures").get_by_role("link").click()
    assert "4 webhook deliveries" in desk.text()
    with desk.page.expect_download() as download:
        desk.page.get_by_role("link", name="Export CSV").click()

    rows = list(csv.DictReader(Path(download.value.path()).read_text().splitlines()))
    assert [row["processing_result"] for row in rows] == ["signature_invalid"] * 4
    assert desk.complaints == []


def test_ops_turns_maintenance_on_with_a_message_and_off_again(desk):
    products = f"{desk.base}/api/v1/marketplace/products"
    desk.log_in(staff("ops"))

    desk.page.locator("li", has_text="maintenance").get_by_role("link").click()
    desk.page.get_by_role("button", name="Start maintenance").click()
    desk.page.get_by_label("What buyers and sellers are told").fill("Back at six.")
    desk.page.get_by_label("Why").fill("New disks.")
    desk.page.get_by_role("button", name="Start maintenance").click()
    desk.page.get_by_role("status").wait_for()
    during = requests.get(products, timeout=10)
    desk.confirm("End maintenance", because="Done.")

    assert (during.status_code, during.json()["detail"]) == (503, "Back at six.")
    assert requests.get(products, timeout=10).status_code != 503
    assert desk.page.get_by_role("status").count() == 0
