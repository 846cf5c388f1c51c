"""What staff may read of an order's money over HTTP, and nobody else."""

import pytest
from django.contrib.auth.models import Permission
from rest_framework.test import APIClient

from tests.buying import order_of, paid
from tests.factories import OfferFactory, PersonFactory
from veza.backoffice.evidence import MAY_READ
from veza.core.ids import new_id

pytestmark = pytest.mark.django_db


def reader(*, leave_out: str = "", **flags):
    user = PersonFactory(**flags)
    for name in MAY_READ:
        if name != leave_out:
            app, _, codename = name.partition(".")
            user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
    client = APIClient()
    client.force_authenticate(user)
    return client


def path(order_id):
    return f"/api/v1/staff/orders/{order_id}/evidence"


def test_staff_read_all_that_is_known_of_an_order(sandbox):
    order = paid(order_of(OfferFactory()))

    snapshot = reader(is_staff=True).get(path(order.pk)).json()

    assert (snapshot["order_id"], snapshot["status"], snapshot["balanced"]) == (str(order.pk), "completed", True)
    assert [row["status"] for row in snapshot["transfers"]] == ["pending"]
    assert [row["processing_result"] for row in snapshot["deliveries"]] == ["ok"]
    assert snapshot["timeline"]


def test_an_order_that_does_not_exist_is_404():
    assert reader(is_staff=True).get(path(new_id())).status_code == 404


def test_nobody_else_reads_it_whether_it_exists_or_not(sandbox):
    order = order_of(OfferFactory())
    clients = [APIClient(), reader(), *(reader(is_staff=True, leave_out=name) for name in MAY_READ)]
    buyer = APIClient()
    buyer.force_authenticate(order.buyer)

    answers = {client.get(path(key)).status_code for client in (*clients, buyer) for key in (order.pk, new_id())}

    assert answers == {401, 403}
