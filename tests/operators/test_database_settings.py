"""How the database is reached: what DATABASE_URL says is kept, and nothing waits for it for ever."""

import runpy
import socket
from pathlib import Path

import pytest
import requests

from dev.ports import HOST
from tests.buying import WEBHOOK, envelope, signed
from tests.operators.production import ROOT, serving


@pytest.fixture
def options(monkeypatch):
    """The options of the connection under this URL."""

    def database(url: str) -> dict[str, object]:
        monkeypatch.setenv("DATABASE_URL", url)
        return runpy.run_path(str(Path(ROOT, "veza", "settings.py")))["DATABASES"]["default"]["OPTIONS"]

    return database


def test_what_the_url_says_of_tls_is_kept(options):
    database = options("postgres://veza:secret@db.example.org/veza?sslmode=verify-full&sslrootcert=/ca.pem")

    assert (database["sslmode"], database["sslrootcert"]) == ("verify-full", "/ca.pem")
    assert "statement_timeout=15s" in database["options"]


def test_the_url_may_be_more_patient(options):
    assert options("postgres://veza@db.example.org/veza?connect_timeout=20")["connect_timeout"] == 20


def test_a_silent_database_costs_seconds_and_the_provider_sends_again(tmp_path):
    raw = envelope("payment_succeeded", {})
    with socket.socket() as silent:
        silent.bind((HOST, 0))
        silent.listen(128)
        url = f"postgres://veza@{HOST}:{silent.getsockname()[1]}/veza"
        with serving(tmp_path, DATABASE_URL=url) as address:
            headers = {"x-webhook-signature-512": signed(raw)}
            answer = requests.post(address + WEBHOOK, data=raw, headers=headers, timeout=20)

    assert answer.status_code == 503
