"""A user and their API client."""

import pytest
from rest_framework.test import APIClient

from tests.factories import PersonFactory
from tests.subscriptions.subscribing import client_of
from veza.core.models import User


@pytest.fixture
def user() -> User:
    return PersonFactory()


@pytest.fixture
def api(user) -> APIClient:
    return client_of(user)
