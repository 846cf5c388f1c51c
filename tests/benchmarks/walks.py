"""How many files a reader opens to follow money through the code: five flows, traced call by call.

`python3 -m dev test tests/benchmarks/walks.py -s` prints a line for each: the files of ours that ran, and how often
control crossed from one file into another. A reader of the flow opens the modules of the floors; models and the ground
floor (`veza/core`) are known by their names after the first walk, so they are counted apart.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from connect.models import SellerTransfer
from connect.reversals.reversal_requests import process_due
from connect.transfers.transfer_requests import send_due
from payments.models import Refund
from tests.buying import deliver, deliver_payment, deliver_refund, envelope, order_of, paid, payment_of, refund_of
from tests.connect.factories import make_seller, planned, refund
from tests.factories import OfferFactory, ProductFactory

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).resolve().parents[2]
HOUSE = tuple(f"{ROOT / name}/" for name in ("veza", "payments", "subscriptions", "marketplace", "connect"))


class Walk:
    def __init__(self) -> None:
        self.files: set[str] = set()
        self.crossings = 0

    def follow(self, frame: FrameType, event: str, _argument: Any) -> None:
        if event != "call":
            return
        here = frame.f_code.co_filename
        if not here.startswith(HOUSE) or frame.f_code.co_name == "<module>":
            return
        self.files.add(here)
        caller = frame.f_back
        while caller is not None and not caller.f_code.co_filename.startswith(HOUSE):
            caller = caller.f_back
        self.crossings += caller is not None and caller.f_code.co_filename != here


def trace(name: str, run: Callable[[], Any]) -> None:
    Client().get("/api/v1/health")  # What is loaded once, at the first request, is no part of a walk.
    walk = Walk()
    sys.setprofile(walk.follow)
    try:
        run()
    finally:
        sys.setprofile(None)
    files = sorted(Path(file).relative_to(ROOT) for file in walk.files)
    ground = [file for file in files if file.is_relative_to("veza/core")]
    models = [file for file in files if "models" in file.as_posix() and file not in ground]
    flow = len(files) - len(ground) - len(models)
    print(f"\n{name}: {len(files)} files, {walk.crossings} crossings")
    print(f"    {flow} of the flow, {len(models)} of models, {len(ground)} of the ground floor")
    for file in files:
        print(f"    {file}")


def order_of_two_sellers():
    offers = [OfferFactory(product=ProductFactory(seller=make_seller()), price_minor=price) for price in (10_00, 5_00)]
    return order_of(*offers)


def test_payment_webhook(sandbox):
    payment = payment_of(order_of_two_sellers())

    trace("payment webhook", lambda: deliver_payment(payment))


def test_refund_request(sandbox):
    order = paid(order_of_two_sellers())
    sandbox.pay(payment_of(order).provider_key)

    person = APIClient()
    person.force_authenticate(order.buyer)
    address, key = f"/api/v1/marketplace/orders/{order.pk}/refund", {"Idempotency-Key": "a-walk"}

    trace("refund request", lambda: person.post(address, {"reason": "No."}, format="json", headers=key))
    assert Refund.objects.get().status == "pending"


def test_refund_webhook(sandbox):
    order = paid(order_of_two_sellers())
    sandbox.pay(payment_of(order).provider_key)
    refund = refund_of(order)

    trace("refund webhook", lambda: deliver_refund(refund))


def test_dashboard_refund(sandbox):
    order = paid(order_of_two_sellers())
    sandbox.pay(payment_of(order).provider_key)
    listed = {"refund_id": "ref_there", "payment_id": payment_of(order).provider_key, "status": "succeeded"}
    raw = envelope("refund_succeeded", {**listed, "amount": 12_00, "currency": "EUR"})

    trace("dashboard refund", lambda: deliver(raw))


def test_reversal_sweep_of_two_transfers(sandbox):
    transfers = [planned(make_seller(stripe_account_id=sandbox.create_account()), amount_minor=9_00) for _ in range(2)]
    send_due()
    for transfer in transfers:
        refund(transfer.order, transfer.seller, 9_00)

    trace("reversal sweep of two transfers", process_due)
    assert {row.status for row in SellerTransfer.objects.all()} == {"reversed"}
