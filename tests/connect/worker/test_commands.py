"""The workers' sweeps, run by an operator."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from connect.models import SellerTransfer
from connect.reversals import reversal_requests
from tests.connect.factories import planned, to_reverse
from tests.connect.stripe_double import accepts_reversal, accepts_transfer, refuses, times_out
from veza.core.models import Heartbeat, StatusChange
from veza.core.sweeps import Tally

pytestmark = pytest.mark.django_db


def run(*command: str) -> str:
    out = StringIO()
    call_command(*command, stdout=out)
    return out.getvalue().strip()


def test_due_transfers_are_sent(stripe):
    planned()
    stripe.will("create_transfer", accepts_transfer())

    assert json.loads(run("retry_transfers", "--json")) == {"done": 1, "failed": 0, "retried": 0}
    assert SellerTransfer.objects.get().status == "completed"
    assert Heartbeat.objects.get(name="connect.send_transfers").done == 1


def test_due_transfers_are_reversed(stripe):
    to_reverse()
    stripe.will("create_reversal", accepts_reversal())

    assert run("process_reversals") == "1 row attempted; 0 raised an error of our own."
    assert SellerTransfer.objects.get().status == "reversed"


def test_a_command_goes_on_tick_after_tick_until_nothing_is_due(monkeypatch):
    ticks = iter([Tally(done=3, failed=1, last_error="why", unfinished=True), Tally(done=2)])
    monkeypatch.setattr(reversal_requests, "process_due", lambda: next(ticks))

    with pytest.raises(CommandError, match="1 row failed; last error: why"):
        run("process_reversals")

    assert list(ticks) == []


@pytest.mark.parametrize(("command", "make"), [("retry_transfers", planned), ("process_reversals", to_reverse)])
def test_a_dry_run_shows_what_is_due_and_changes_nothing(stripe, command, make):
    row = make()

    assert str(row.pk) in run(command, "--dry-run")
    assert json.loads(run(command, "--dry-run", "--json")) == {"due": [str(row.pk)], "dry_run": True}
    assert stripe.params == []


def test_failed_transfers_are_retried_when_asked(stripe):
    planned()
    stripe.will("create_transfer", refuses("resource_missing"), accepts_transfer())
    run("retry_transfers")
    run("retry_transfers")
    assert len(stripe.params) == 1

    run("retry_transfers", "--given-up")

    assert SellerTransfer.objects.get().status == "completed"
    assert StatusChange.objects.get(to_status="failed").actor == "retry_transfers"


def test_a_row_that_fails_on_our_side_is_an_exit_status(stripe):
    planned()
    stripe.will("create_transfer", lambda _params: 1 / 0)

    with pytest.raises(CommandError, match="ZeroDivisionError"):
        run("retry_transfers")


def test_a_failed_reversal_that_cannot_be_read_is_named_and_left(stripe, settings, capsys):
    settings.REVERSAL_MAX_RETRIES = 0
    stripe.will("create_reversal", times_out())
    row = to_reverse()
    run("process_reversals")
    stripe.will("read_transfer", times_out())

    assert json.loads(run("process_reversals", "--given-up", "--json"))["retried"] == 0

    assert f"{row.pk}: Stripe does not show the transfer now." in capsys.readouterr().err
    assert SellerTransfer.objects.get().status == "permanently_failed"
