"""The admin pages of sellers' money: searchable, and never editable."""

import pytest
from django.urls import reverse

from tests.connect.factories import to_reverse
from veza.core.models import User

pytestmark = pytest.mark.django_db


@pytest.fixture
def support(client):
    client.force_login(User.objects.create_superuser("support@example.com", "a-long-password"))
    return client


@pytest.mark.parametrize("model", ["sellertransfer", "connectedaccount"])
def test_the_lists_can_be_searched(support, model):
    to_reverse()

    page = support.get(reverse(f"admin:connect_{model}_changelist"), {"q": "person"})

    assert page.status_code == 200


def test_a_transfers_page_shows_its_history_and_offers_no_edit(support):
    transfer = to_reverse()

    page = support.get(reverse("admin:connect_sellertransfer_change", args=[transfer.pk]))

    assert f"A transfer of 9.00 EUR to {transfer.seller.email} was planned." in page.content.decode()
    assert 'name="_save"' not in page.content.decode()
