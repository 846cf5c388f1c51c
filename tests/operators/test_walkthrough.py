"""The acceptance run against a running Veza and the sandbox: the complete run, and the failure of every step."""

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
from tests.operators.conftest import PASSWORD, NoOperator, ScriptedOperator, run_workers
from veza.core.causes import Cause
from veza.core.models import PlatformSetting
from veza.core.states import move

pytestmark = pytest.mark.django_db(transaction=True)
# A step that fails by waiting takes all of it; one that passes needs a fraction, also on a machine with other work.
PATIENCE_SECONDS = 2.0


def statuses(walk):
    return [walk.outcomes[step.number].status if step.number in walk.outcomes else NOT_RUN for step in STEPS]


def test_the_whole_walk_passes_step_by_step(stack, log):
    walk = stack.walk(log=log, operator=NoOperator())

    assert gate_is_open(walk)
    assert (run(walk).text, statuses(walk)) == ("PASSED", [PASS] * 9)
    assert "5xx" in walk.outcomes[5].observation
    assert "tr_" in walk.outcomes[7].trace


def test_the_report_and_the_log_record_the_session(stack, log):
    run(stack.walk(log=log, operator=NoOperator()))

    rows = [line for line in stack.report.splitlines() if line.startswith("| ") and "PASS" in line]
    assert len(rows) == 9
    assert log.seal in stack.report
    assert read_chain(log.path)[-1]["hash"] == log.seal


def test_no_secret_appears_anywhere(stack, log, capfd):
    operator = NoOperator()
    walk = stack.walk(log=log, operator=operator)
    run(walk)

    text = log.path.read_text() + stack.report + "".join(operator.output) + "".join(capfd.readouterr())
    assert PASSWORD not in text
    assert stack.staff_token not in text
    assert "eyJ" not in text
    assert "_secret_" not in text


def test_without_a_clear_yes_there_is_no_refund(stack, log):
    walk = stack.walk(log=log, operator=ScriptedOperator(""), refund="ask")

    assert run(walk).text == "PASSED without the refund"
    assert statuses(walk)[7:] == [SKIPPED, SKIPPED]
    assert Order.objects.get().status == "completed"


def test_an_operator_pays_queries_the_database_and_confirms_the_refund(stack, log):
    operator = ScriptedOperator()
    walk = stack.walk(log=log, operator=operator, pay="browser", staff=False, refund="ask")

    def pay():
        stack.sandbox.pay(Order.objects.get().pk and walk.facts["payment_url"].rpartition("/")[2])
        return ""

    def query_database():
        run_workers()
        (statement,) = [text for text in operator.output[-3:] if "seller_transfers" in text]
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return str(cursor.fetchall())

    operator.answers = [pay, query_database, "y", "yes", query_database, "y"]
    output = operator.output

    verdict = run(walk)

    assert (verdict.text, statuses(walk)) == ("PASSED", [PASS] * 9)
    assert "tr_" in walk.outcomes[7].observation
    assert any("webhook_log" in text for text in output)


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


@pytest.mark.parametrize(("number", "fault", "observation"), FAILURES, ids=[f[1].__name__ for f in FAILURES])
def test_a_failed_step_ends_the_run(stack, log, number, fault, observation):
    fault(stack)
    walk = stack.walk(log=log, operator=NoOperator(), patience_seconds=PATIENCE_SECONDS)

    verdict = run(walk)

    assert (verdict.text, statuses(walk)) == (
        f"FAILED at step {number}",
        [PASS] * (number - 1) + [FAIL] + [NOT_RUN] * (9 - number),
    )
    assert observation in walk.outcomes[number].observation
    assert f"FAILED at step {number}" in stack.report


def test_a_missing_licence_fails_step_six(stack, log):
    walk = stack.walk(log=log, operator=NoOperator())
    wait = STEPS[4].take

    def suspend_license(walk):
        outcome = wait(walk)
        with transaction.atomic():
            move(License.objects.get(), LicenseStatus.SUSPENDED, cause=Cause("staff"))
        return outcome

    replace_step(walk, 5, suspend_license)

    assert run(walk).text == "FAILED at step 6"
    assert "has 0 of this order" in walk.outcomes[6].observation


def replace_step(walk, number, take):
    plain = walk.take
    walk.take = lambda step: plain(type(step)(step.number, step.title, take) if step.number == number else step)


def test_a_refund_that_the_provider_refuses_fails_step_eight_or_nine(stack, log):
    refund_is_refused(stack)
    walk = stack.walk(log=log, operator=NoOperator(), patience_seconds=PATIENCE_SECONDS)

    verdict = run(walk)

    assert verdict.text in ("FAILED at step 8", "FAILED at step 9")
    assert Order.objects.get().status == "completed"


def test_a_refund_outside_its_window_fails_step_eight(stack, log, settings):
    walk = stack.walk(log=log, operator=NoOperator())
    replace_step(
        walk, 7, lambda walk: (Order.objects.update(refund_deadline="2026-01-01T00:00Z"), STEPS[6].take(walk))[1]
    )

    assert run(walk).text == "FAILED at step 8"
    assert "refund_window_expired" in walk.outcomes[8].observation


def test_an_operator_who_could_not_pay_fails_step_four(stack, log):
    walk = stack.walk(log=log, operator=ScriptedOperator("n"), pay="browser")

    assert run(walk).text == "FAILED at step 4"


def test_an_operator_who_sees_another_result_fails_step_seven(stack, log):
    operator = ScriptedOperator("status failed", "n")
    walk = stack.walk(log=log, operator=operator, staff=False)

    assert run(walk).text == "FAILED at step 7"
    assert "status failed" in walk.outcomes[7].observation


def test_server_errors_while_polling_are_counted_and_retried(stack, log, monkeypatch):
    stack.sandbox.webhook_fault("delay", "^payment_", seconds=0.6, times=0)
    walk = stack.walk(log=log, operator=NoOperator())
    get = walk.buyer.get
    failures = iter([True, True])

    def get_with_failures(path):
        answer = get(path)
        is_broken = "/orders/" in path and walk.facts.get("paid_at") and next(failures, False)
        return type(answer)(**(vars(answer) | {"status": 503})) if is_broken else answer

    monkeypatch.setattr(walk.buyer, "get", get_with_failures)

    run(walk)

    assert walk.outcomes[5].status == PASS
    assert "2 times 5xx" in walk.outcomes[5].observation


# --- Test money or real money ---


def test_the_status_of_veza_does_not_make_a_run_live(stack, log, settings):
    settings.VEZA_ENVIRONMENT = "live"
    walk = stack.walk(log=log, operator=NoOperator(), environment="live")

    assert run(walk).text == "FAILED at step 4"
    assert "does not prove to be live" in walk.outcomes[4].observation
    assert "production" not in walk.facts.get("provider", "")


def test_the_run_pays_by_itself_only_on_the_sandboxs_page(stack, log, monkeypatch):
    walk = stack.walk(log=log, operator=NoOperator())
    page = walk.buyer.page
    monkeypatch.setattr(
        walk.buyer, "page", lambda url, form=None: type(a := page(url, form))(**(vars(a) | {"headers": {}}))
    )

    assert run(walk).text == "FAILED at step 4"
    assert "only the sandbox's page" in walk.outcomes[4].observation


# --- Resuming after an interruption ---


@pytest.mark.parametrize("number", [1, 3, 5, 7, 9])
def test_a_run_interrupted_at_any_step_resumes_and_buys_once(stack, log, number):
    def interrupt(_walk):
        raise KeyboardInterrupt

    walk = stack.walk(log=log, operator=NoOperator())
    replace_step(walk, number, interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(walk)

    again = stack.walk(log=SessionLog.resume(log.path), operator=NoOperator())

    assert (run(again).text, statuses(again)) == ("PASSED", [PASS] * 9)
    assert Order.objects.count() == 1
    assert stack.report.count("### Session 20261121T120000Z") == 2


@pytest.mark.parametrize("number", [3, 4, 8])
def test_an_answer_lost_by_the_interruption_is_recovered(stack, log, number):
    step = STEPS[number - 1]

    def take_and_interrupt(walk):
        step.take(walk)
        raise KeyboardInterrupt

    walk = stack.walk(log=log, operator=NoOperator())
    replace_step(walk, number, take_and_interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(walk)
    again = stack.walk(log=SessionLog.resume(log.path), operator=NoOperator())

    assert run(again).text == "PASSED"
    movements = stack.sandbox.truth()["movements"]
    assert len([one for one in movements if one["kind"] == "payment"]) == 1


# --- The command ---


@pytest.fixture
def workers():
    """The workers' tasks, run repeatedly during the command."""
    stop = threading.Event()

    def work():
        while not stop.is_set():
            run_workers()
            time.sleep(0.05)
        connections.close_all()

    thread = threading.Thread(target=work)
    thread.start()
    yield
    stop.set()
    thread.join()


@pytest.fixture
def arguments(stack, monkeypatch):
    monkeypatch.setenv("OPERATOR_EMAIL", stack.operator.email)
    monkeypatch.setenv("OPERATOR_PASSWORD", PASSWORD)
    monkeypatch.setenv("STAFF_TOKEN", stack.staff_token)
    return ["--base-url", stack.url, "--report-dir", str(stack.report_dir), "--poll-seconds", "0.05"]


AUTOMATIC = ["--pay=sandbox", "--staff", "--refund=yes", "--json"]


def test_the_command_completes_the_run_by_itself(stack, arguments, workers, capsys):
    call_command("payment_e2e_walkthrough", *arguments, *AUTOMATIC)

    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (report["ok"], report["verdict"]) == (True, "PASSED")
    assert "PASSED" in stack.report


def test_the_command_exits_with_one_when_a_step_fails_and_can_resume(stack, arguments, workers):
    stack.sandbox.settings(payment_outcome="processing")
    with pytest.raises(CommandError, match="FAILED at step 5") as error:
        call_command("payment_e2e_walkthrough", *arguments, *AUTOMATIC, "--patience-seconds", "0.5")
    order = Order.objects.get()
    stack.sandbox.control(f"payments/{payment_of(order).provider_key}", status="succeeded")

    call_command("payment_e2e_walkthrough", *arguments, *AUTOMATIC, "--resume")

    assert error.value.returncode == 1
    assert (stack.report.count("FAILED at step 5"), stack.report.count(": PASSED")) == (1, 1)


def test_a_run_with_an_edited_log_is_not_resumed(stack, arguments):
    wrong_password(stack)
    with pytest.raises(CommandError):
        call_command("payment_e2e_walkthrough", *arguments, *AUTOMATIC)
    (path,) = stack.report_dir.glob("*.log")
    path.write_text(path.read_text().replace('"status": "FAIL"', '"status": "PASS"'))

    with pytest.raises(CommandError, match="line 8 is not as it was written") as error:
        call_command("payment_e2e_walkthrough", *arguments, *AUTOMATIC, "--resume")

    assert error.value.returncode == 3


def test_no_terminal_and_no_staff_is_refused(arguments):
    with pytest.raises(CommandError, match="use --staff"):
        call_command("payment_e2e_walkthrough", *arguments, "--pay=sandbox")


def test_behind_a_closed_gate_nothing_is_bought(stack, arguments):
    PlatformSetting.objects.create(name="maintenance", value={"on": True})

    with pytest.raises(CommandError, match="nothing was bought") as error:
        call_command("payment_e2e_walkthrough", *arguments, *AUTOMATIC)

    assert error.value.returncode == 2
    assert not Order.objects.exists()
