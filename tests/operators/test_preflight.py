"""The gate: the problems that block a run, and the warnings."""

import json

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from acceptance import provider
from acceptance.caller import Answer, Caller
from acceptance.options import RunOptions
from acceptance.preflight import REMINDER, look
from acceptance.session_log import NullLog
from tests.operators.production import run


class Veza:
    """Answers like a Veza that is ready, except for a test's changes."""

    base_url = "https://shop.example.org"

    def __init__(self, **changes):
        services = dict.fromkeys(("database", "redis", "hyperswitch", "stripe"), "ok") | changes.pop("services", {})
        self._health = changes.pop("health", 200)
        self._products = changes.pop("products", [{"offers": [{}]}])
        self._status = {"environment": "sandbox", "version": "1", "maintenance": False} | changes
        self._status["services"] = {name: {"status": status} for name, status in services.items()}

    def get(self, path):
        body = {"data": self._status} if path == "/status" else {"status": "ok"}
        return Answer(self._health if path == "/health" else 200, body, 1, "", {})

    def rows(self, _path):
        return iter(self._products)


def gate(options=None, **changes):
    defaults = {"base_url": Veza.base_url, "email": "operator@example.com", "password": ""}
    return look(Veza(**changes), RunOptions(**(defaults | (options or {}))))


def test_a_veza_that_is_ready_opens_the_gate():
    assert gate().open
    assert gate({"environment": "live"}, environment="live").open


@pytest.mark.parametrize(
    ("options", "changes", "message"),
    [
        ({"email": "operator"}, {}, "OPERATOR_EMAIL is not an e-mail address"),
        ({"email": ""}, {}, "OPERATOR_EMAIL is not an e-mail address"),
        ({}, {"health": 503}, "health answers 503"),
        ({}, {"health": 0}, "health answers no answer"),
        ({}, {"environment": "live"}, "the environment is live, not sandbox"),
        ({"environment": "live"}, {}, "the environment is sandbox, not live"),
        ({}, {"services": {"hyperswitch": "disabled"}}, "Hyperswitch is disabled"),
        ({}, {"products": []}, "there is no product to buy"),
        ({}, {"products": [{"offers": []}]}, "there is no product to buy"),
        ({}, {"maintenance": True}, "maintenance mode is on: buyers cannot order"),
    ],
)
def test_each_problem_closes_the_gate_and_is_named(options, changes, message):
    gate_result = gate(options, **changes)

    assert not gate_result.open
    assert any(message in line for line in gate_result.failed)


def test_a_live_run_is_warned_that_a_real_card_is_charged():
    assert REMINDER in gate({"environment": "live"}, environment="live").warned
    assert REMINDER not in gate().warned


def test_a_live_run_that_meets_a_sandbox_is_warned():
    assert any("no real money would move" in line for line in gate({"environment": "live"}).warned)


def test_a_degraded_service_is_a_warning_and_does_not_close_the_gate():
    gate_result = gate(services={"redis": "degraded"})

    assert (gate_result.open, gate_result.warned) == (True, ["redis is degraded."])


@pytest.mark.parametrize("body", ["<html>", None, {"data": []}, {"data": {"environment": "sandbox"}}, {"data": None}])
def test_a_status_of_another_shape_closes_the_gate(monkeypatch, body):
    get = Veza.get
    monkeypatch.setattr(
        Veza, "get", lambda self, path: Answer(200, body, 1, "", {}) if path == "/status" else get(self, path)
    )

    assert any("status answers" in line for line in gate().failed)


def test_no_server_at_the_address_closes_the_gate():
    options = RunOptions(base_url="http://127.0.0.1:1", email="operator@example.com", password="")

    assert look(Caller(options.base_url, NullLog()), options).failed == ["health answers no answer (ConnectionError)"]


@pytest.mark.django_db(transaction=True)
def test_the_command_opens_the_gate_of_a_running_veza(stack, monkeypatch, capsys):
    monkeypatch.setenv("OPERATOR_EMAIL", stack.operator.email)

    call_command("payment_e2e_preflight", "--base-url", stack.url, "--json")

    assert json.loads(capsys.readouterr().out)["ok"] is True


@pytest.mark.django_db(transaction=True)
def test_the_command_exits_with_one_at_a_closed_gate(stack, monkeypatch):
    monkeypatch.setenv("OPERATOR_EMAIL", "nobody")

    with pytest.raises(CommandError, match="The gate is closed: 1 of") as gate_result:
        call_command("payment_e2e_preflight", "--base-url", stack.url)

    assert gate_result.value.returncode == 1


@pytest.mark.django_db(transaction=True)
def test_the_operators_machine_needs_no_database(stack):
    nowhere = {"DATABASE_URL": "postgres://nobody@127.0.0.1:1/nothing", "OPERATOR_EMAIL": stack.operator.email}

    process = run("manage.py", "payment_e2e_preflight", "--base-url", stack.url, environ=nowhere)

    assert process.returncode == 0, process.stderr


LIVE_PAGE = "https://api.hyperswitch.io/payment_link/m/pay_1"


@pytest.mark.parametrize(
    ("url", "text", "headers", "status", "mode"),
    [
        (LIVE_PAGE, 'pub_key: "pk_prd_0123456789"', {}, 200, provider.LIVE),
        (LIVE_PAGE, 'pub_key: "pk_snd_0123456789"', {}, 200, provider.SANDBOX),
        (LIVE_PAGE, "pk_prd_0123 and pk_snd_0123", {}, 200, provider.SANDBOX),
        (LIVE_PAGE, "Pay here", {}, 200, provider.UNPROVEN),
        (LIVE_PAGE, "pk_prd_0123456789", {}, 404, provider.UNPROVEN),
        (LIVE_PAGE, "pk_prd_0123456789", {"x-veza-sandbox": "1"}, 200, provider.SANDBOX),
        ("https://sandbox.hyperswitch.io/payment_link/m/p", "pk_prd_0123456789", {}, 200, provider.SANDBOX),
        ("http://api.hyperswitch.io/payment_link/m/p", "pk_prd_0123456789", {}, 200, provider.UNPROVEN),
        (LIVE_PAGE, {"error": "no"}, {}, 200, provider.UNPROVEN),
    ],
)
def test_only_the_providers_own_page_proves_that_money_is_real(url, text, headers, status, mode):
    assert provider.mode_of(url, Answer(status, text, 1, "", headers)) == mode
