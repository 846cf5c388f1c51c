"""What the ground floor's tests share."""

from collections.abc import Iterator

import pytest
from rest_framework.test import APIClient

from veza.core.models import User
from veza.core.platform import maintenance
from veza.status import state

PASSWORD = "a long enough password"


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    """What a process keeps between requests must not travel from one test to the next."""
    state.forget()
    yield
    maintenance.forget()
    state.forget()


@pytest.fixture
def buyer(db) -> User:
    return User.objects.create_user("buyer@example.com", PASSWORD)


@pytest.fixture
def api() -> APIClient:
    """A client that gets the answer a caller would get, where Django's own would raise the error."""
    return APIClient(raise_request_exception=False)


@pytest.fixture
def as_buyer(api: APIClient, buyer: User) -> APIClient:
    api.force_authenticate(buyer)
    return api
