"""No cache keeps what is one user's, and a browser that came by https stays there."""

import os
import subprocess
import sys

import pytest
from rest_framework.test import APIClient

from tests.factories import PersonFactory
from veza.core.api.sessions import begin

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("path", ["marketplace/orders", "licenses/mine", "marketplace/products", "no-such-page"])
def test_answers_of_the_api_are_not_stored(path):
    api = APIClient()
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {begin(PersonFactory()).access_token}")

    assert api.get(f"/api/v1/{path}")["Cache-Control"] == "no-store"


def test_tokens_are_not_stored():
    answer = APIClient().post("/api/v1/auth/login", {"email": "a@example.com", "password": "wrong"}, format="json")

    assert answer["Cache-Control"] == "no-store"


@pytest.mark.parametrize(("base_url", "seconds"), [("https://veza.example", 31_536_000), ("http://127.0.0.1:8000", 0)])
def test_https_is_for_a_year_where_veza_is_served_by_it(base_url, seconds):
    code = "from veza import settings; print(settings.SECURE_HSTS_SECONDS)"

    read = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PUBLIC_BASE_URL": base_url},
        capture_output=True,
        text=True,
        check=True,
    )

    assert int(read.stdout) == seconds
