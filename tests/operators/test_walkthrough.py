"""The acceptance run against a running Veza and the sandbox: the whole walk, and the failure of every step."""

import json
import threading
import time

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection, connections, transaction

from acceptance.run import STEPS, gate_is_open, run
from acceptance.session_log import SessionLog, read_chain
from acceptance.walk import FAIL, NOT_RUN, PASS, SKIPPED
from marketplace.models import License, Order
from marketplace.states import LicenseStatus
from tests.buying import payment_of
from tests.operators.conftest import PASSWORD, STAFF_PASSWORD, Nobody, Somebody, do_the_workers_work
from veza.core.causes import Cause
from veza.core.models import PlatformSetting
from veza.core.states import move

pytestmark = pytest.mark.django_db(transaction=True)


def statuses(walk):
    return [walk.outcomes[step.number].status if step.number in walk.outcomes else NOT_RUN for step in STEPS]


def test_the_whole_walk_passes_step_by_step(stack, log):
    walk = stack.walk(log=log, person=Nobody())

    assert gate_is_open(walk)
    assert (run(walk).text, statuses(walk)) == ("PASSED", [PASS] * 9)
    assert "5xx" in walk.outcomes[5].observed
    assert "tr_" in walk.outcomes[7].trace


def test_the_report_and_the_log_tell_the_session(stack, log):
    run(stack.walk(log=log, person=Nobody()))

    rows = [line for line in stack.report.splitlines() if line.startswith("| ") and "PASS" in line]
    assert len(rows) == 9
    assert log.seal in stack.report
    assert read_chain(log.path)[-1]["hash"] == log.seal


def test_nothing_secret_is_told_anywhere(stack, log, capfd):
    person = Nobody()
    walk = stack.walk(log=log, person=person)
    run(walk)

    written = log.path.read_text() + stack.report + "".join(person.told) + "".join(capfd.readouterr())
    assert PASSWORD not in written
    assert STAFF_PASSWORD not in written
    assert "eyJ" not in written
    assert "_secret_" not in written


def test_without_a_clear_yes_nothing_is_refunded(stack, log):
    walk = stack.walk(log=log, person=Somebody(""), refund="ask")

    assert run(walk).text == "PASSED without the refund"
    assert statuses(walk)[7:] == [SKIPPED, SKIPPED]
    assert Order.objects.get().status == "completed"


def test_a_person_pays_looks_into_the_database_and_says_yes_to_the_refund(stack, log):
    person = Somebody()
    walk = stack.walk(log=log, person=person, pay="browser", staff=False, refund="ask")

    def pays():
        stack.sandbox.pay(Order.objects.get().pk and walk.facts["payment_url"].rpartition("/")[2])
        return ""

    def looks():
        do_the_workers_work()
        (statement,) = [text for text in person.told[-3:] if "seller_transfers" in text]
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return str(cursor.fetchall())

    person.answers = [pays, looks, "y", "yes", looks, "y"]
    person_told_two = person.told

    verdict = run(walk)

    assert (verdict.text, statuses(walk)) == ("PASSED", [PASS] * 9)
    assert "tr_" in walk.outcomes[7].observed
    assert any("webhook_log" in text for text in person_told_two)


# --- The failure of every step ---


def wrong_password(stack):
    stack.operator.set_password("something else")
    stack.operator.save(update_fields=["password"])


def nothing_for_sale(stack):
    type(stack.offer).objects.update(active=False)


def provider_refuses_the_payment(stack):
    stack.sandbox.fault("status", "^/payments$", method="POST", status=500, when="before", times=0)


def page_is_gone(stack):
    stack.sandbox.fault("status", "^/payment_link/", method="POST", status=410, when="before", times=0)


def card_is_declined(stack):
    stack.sandbox.settings(payment_outcome="failed")


def payment_webhook_is_lost(stack):
    stack.sandbox.webhook_fault("lose", "^payment_", times=0)


def transfer_is_refused(stack):
    body = json.dumps({"error": {"type": "invalid_request_error", "code": "parameter_invalid", "message": "No."}})
    stack.sandbox.fault("status", "^/v1/transfers$", method="POST", status=400, body=body, times=0)


def refund_is_refused(stack):
    body = json.dumps({"error": {"type": "invalid_request", "code": "IR_06", "message": "Not this one."}})
    stack.sandbox.fault("status", "^/refunds$", method="POST", status=400, body=body, times=0)


def refund_webhook_is_lost(stack):
    stack.sandbox.webhook_fault("lose", "^refund_", times=0)


FAILURES = [
    (1, wrong_password, "invalid_credentials"),
    (2, nothing_for_sale, "none of"),
    (3, provider_refuses_the_payment, "no payment page after"),
    (4, page_is_gone, "410"),
    (4, card_is_declined, "the payment failed"),
    (5, payment_webhook_is_lost, "no completed order after"),
    (7, transfer_is_refused, "transfers failed"),
    (9, refund_webhook_is_lost, "no refunded order after"),
]


@pytest.mark.parametrize(("number", "mischief", "observed"), FAILURES, ids=[f[1].__name__ for f in FAILURES])
def test_a_step_that_does_not_hold_ends_the_run_there(stack, log, number, mischief, observed):
    mischief(stack)
    walk = stack.walk(log=log, person=Nobody(), patience_seconds=0.8)

    verdict = run(walk)

    assert (verdict.text, statuses(walk)) == (
        f"FAILED at step {number}",
        [PASS] * (number - 1) + [FAIL] + [NOT_RUN] * (9 - number),
    )
    assert observed in walk.outcomes[number].observed
    assert f"FAILED at step {number}" in stack.report


def test_a_licence_that_is_not_there_fails_step_six(stack, log):
    walk = stack.walk(log=log, person=Nobody())
    wait = STEPS[4].take

    def suspended(walk):
        outcome = wait(walk)
        with transaction.atomic():
            move(License.objects.get(), LicenseStatus.SUSPENDED, cause=Cause("staff"))
        return outcome

    with_mischief(walk, 5, suspended)

    assert run(walk).text == "FAILED at step 6"
    assert "has 0 of this order" in walk.outcomes[6].observed


def with_mischief(walk, number, take):
    plain = walk.take
    walk.take = lambda step: plain(type(step)(step.number, step.title, take) if step.number == number else step)


def test_a_refund_that_the_provider_refuses_fails_step_eight_or_nine(stack, log):
    refund_is_refused(stack)
    walk = stack.walk(log=log, person=Nobody(), patience_seconds=0.8)

    verdict = run(walk)

    assert verdict.text in ("FAILED at step 8", "FAILED at step 9")
    assert Order.objects.get().status == "completed"


def test_a_refund_outside_its_window_fails_step_eight(stack, log, settings):
    walk = stack.walk(log=log, person=Nobody())
    with_mischief(
        walk, 7, lambda walk: (Order.objects.update(refund_deadline="2026-01-01T00:00Z"), STEPS[6].take(walk))[1]
    )

    assert run(walk).text == "FAILED at step 8"
    assert "refund_window_expired" in walk.outcomes[8].observed


def test_a_person_who_could_not_pay_fails_step_four(stack, log):
    walk = stack.walk(log=log, person=Somebody("n"), pay="browser")

    assert run(walk).text == "FAILED at step 4"


def test_a_person_who_sees_something_else_fails_step_seven(stack, log):
    person = Somebody("status failed", "n")
    walk = stack.walk(log=log, person=person, staff=False)

    assert run(walk).text == "FAILED at step 7"
    assert "status failed" in walk.outcomes[7].observed


def test_server_errors_while_polling_are_counted_and_waited_out(stack, log, monkeypatch):
    stack.sandbox.webhook_fault("delay", "^payment_", seconds=0.6, times=0)
    walk = stack.walk(log=log, person=Nobody())
    asked = walk.buyer.get
    broken = iter([True, True])

    def sometimes_broken(path):
        answer = asked(path)
        away = "/orders/" in path and walk.facts.get("paid_at") and next(broken, False)
        return type(answer)(**(vars(answer) | {"status": 503})) if away else answer

    monkeypatch.setattr(walk.buyer, "get", sometimes_broken)

    run(walk)

    assert walk.outcomes[5].status == PASS
    assert "2 times 5xx" in walk.outcomes[5].observed


# --- Whose money it is ---


def test_a_run_is_not_called_live_because_veza_says_so(stack, log, settings):
    settings.VEZA_ENVIRONMENT = "live"
    walk = stack.walk(log=log, person=Nobody(), environment="live")

    assert run(walk).text == "FAILED at step 4"
    assert "does not prove to be live" in walk.outcomes[4].observed
    assert "production" not in walk.facts.get("provider", "")


def test_a_machine_pays_only_on_the_sandboxs_own_page(stack, log, monkeypatch):
    walk = stack.walk(log=log, person=Nobody())
    shown = walk.buyer.page
    monkeypatch.setattr(
        walk.buyer, "page", lambda url, form=None: type(a := shown(url, form))(**(vars(a) | {"headers": {}}))
    )

    assert run(walk).text == "FAILED at step 4"
    assert "only the sandbox's page" in walk.outcomes[4].observed


# --- Going on after an interruption ---


@pytest.mark.parametrize("number", [1, 3, 5, 7, 9])
def test_a_run_interrupted_at_any_step_goes_on_and_buys_once(stack, log, number):
    def interrupted(_walk):
        raise KeyboardInterrupt

    walk = stack.walk(log=log, person=Nobody())
    with_mischief(walk, number, interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(walk)

    again = stack.walk(log=SessionLog.resume(log.path), person=Nobody())

    assert (run(again).text, statuses(again)) == ("PASSED", [PASS] * 9)
    assert Order.objects.count() == 1
    assert stack.report.count("### Session 20261121T120000Z") == 2


@pytest.mark.parametrize("number", [3, 4, 8])
def test_an_answer_lost_by_the_interruption_is_found_again(stack, log, number):
    step = STEPS[number - 1]

    def done_and_interrupted(walk):
        step.take(walk)
        raise KeyboardInterrupt

    walk = stack.walk(log=log, person=Nobody())
    with_mischief(walk, number, done_and_interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(walk)
    again = stack.walk(log=SessionLog.resume(log.path), person=Nobody())

    assert run(again).text == "PASSED"
    movements = stack.sandbox.truth()["movements"]
    assert len([one for one in movements if one["kind"] == "payment"]) == 1


# --- The command ---


@pytest.fixture
def workers():
    """The workers' work, done over and over beside the command."""
    over = threading.Event()

    def work():
        while not over.is_set():
            do_the_workers_work()
            time.sleep(0.05)
        connections.close_all()

    thread = threading.Thread(target=work)
    thread.start()
    yield
    over.set()
    thread.join()


@pytest.fixture
def said(stack, monkeypatch):
    monkeypatch.setenv("OPERATOR_EMAIL", stack.operator.email)
    monkeypatch.setenv("OPERATOR_PASSWORD", PASSWORD)
    monkeypatch.setenv("STAFF_EMAIL", stack.staff.email)
    monkeypatch.setenv("STAFF_PASSWORD", STAFF_PASSWORD)
    return ["--base-url", stack.url, "--report-dir", str(stack.report_dir), "--poll-seconds", "0.05"]


AUTOMATIC = ["--pay=sandbox", "--staff", "--refund=yes", "--json"]


def test_the_command_walks_the_whole_way_by_itself(stack, said, workers, capsys):
    call_command("payment_e2e_walkthrough", *said, *AUTOMATIC)

    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (told["ok"], told["verdict"]) == (True, "PASSED")
    assert "PASSED" in stack.report


def test_the_command_exits_with_one_when_a_step_fails_and_goes_on_with_resume(stack, said, workers):
    stack.sandbox.settings(payment_outcome="processing")
    with pytest.raises(CommandError, match="FAILED at step 5") as failed:
        call_command("payment_e2e_walkthrough", *said, *AUTOMATIC, "--patience-seconds", "0.5")
    order = Order.objects.get()
    stack.sandbox.control(f"payments/{payment_of(order).provider_key}", status="succeeded")

    call_command("payment_e2e_walkthrough", *said, *AUTOMATIC, "--resume")

    assert failed.value.returncode == 1
    assert (stack.report.count("FAILED at step 5"), stack.report.count(": PASSED")) == (1, 1)


def test_a_log_that_was_edited_is_not_gone_on_with(stack, said):
    wrong_password(stack)
    with pytest.raises(CommandError):
        call_command("payment_e2e_walkthrough", *said, *AUTOMATIC)
    (path,) = stack.report_dir.glob("*.log")
    path.write_text(path.read_text().replace('"status": "FAIL"', '"status": "PASS"'))

    with pytest.raises(CommandError, match="line 8 is not as it was written") as refused:
        call_command("payment_e2e_walkthrough", *said, *AUTOMATIC, "--resume")

    assert refused.value.returncode == 3


def test_nobody_at_the_terminal_and_no_staff_is_no_run(said):
    with pytest.raises(CommandError, match="use --staff"):
        call_command("payment_e2e_walkthrough", *said, "--pay=sandbox")


def test_behind_a_closed_gate_nothing_is_bought(stack, said):
    PlatformSetting.objects.create(name="maintenance", value={"on": True})

    with pytest.raises(CommandError, match="nothing was bought") as refused:
        call_command("payment_e2e_walkthrough", *said, *AUTOMATIC)

    assert refused.value.returncode == 2
    assert not Order.objects.exists()
