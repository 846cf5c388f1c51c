"""Staff, and an order with a history for them to look at."""

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from tests.buying import paid, refund_of, two_sellers_order
from veza.core.models import User


def staff(*groups: str, email: str = "") -> User:
    """A member of staff in these groups."""
    person = User.objects.create_user(email or f"{'-'.join(groups) or 'ungrouped'}@staff.example", "a-long-password")
    User.objects.filter(pk=person.pk).update(is_staff=True)
    person.refresh_from_db()
    person.groups.set(Group.objects.filter(name__in=groups))
    return person


def browser(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


@pytest.fixture
def boss(client):
    client.force_login(User.objects.create_superuser("boss@staff.example", "a-long-password"))
    return client


@pytest.fixture
def order(sandbox):
    """An order that is paid, with a refund on its way."""
    order = paid(two_sellers_order())
    refund_of(order)
    order.refresh_from_db()
    return order
