"""The report to be signed: sessions are added, never overwritten."""

import re

import pytest

from acceptance import report
from acceptance.options import RunOptions
from acceptance.run import STEPS
from acceptance.session_log import SessionLog
from acceptance.walk import PASS, Outcome, Walk
from tests.operators.conftest import NOON, NoOperator
from tests.operators.production import ROOT

TEMPLATE = (ROOT / "docs" / "PAYMENT_E2E_LIVE_REPORT.md").read_text()


def add(folder, *, environment="sandbox", observation="as expected", verdict="PASSED"):
    options = RunOptions("https://shop.example.org", "operator@example.com", "", environment=environment)
    walk = Walk(options, log=SessionLog.begin(folder, at=NOON), operator=NoOperator())
    report.add(walk, verdict, {step: Outcome(PASS, observation, "req-1") for step in STEPS}, provider_says="sandbox")
    return (folder / "PAYMENT_E2E_LIVE_REPORT.md").read_text()


def test_the_first_session_starts_the_report_from_the_template(tmp_path):
    text = add(tmp_path)

    assert re.sub(r"### Session.*?(?=<!-- end)", "", text, flags=re.DOTALL) == report.blank()


def test_later_sessions_follow_earlier_ones_and_change_none(tmp_path):
    first = add(tmp_path, verdict="FAILED at step 5")
    second = add(tmp_path)

    before, _, after = first.partition("<!-- end of sessions: staging -->")
    assert second.startswith(before)
    assert second.endswith(after)


def test_each_pass_has_its_own_sessions(tmp_path):
    add(tmp_path)
    text = add(tmp_path, environment="live")

    staging, production = text.split("## Pass 2")
    assert (staging.count("### Session"), production.count("### Session")) == (1, 1)


def test_text_that_readers_add_to_the_report_stays(tmp_path):
    add(tmp_path)
    path = tmp_path / "PAYMENT_E2E_LIVE_REPORT.md"
    path.write_text(path.read_text().replace("Accepted by: ____________", "Accepted by: Ada"))

    assert add(tmp_path).count("Accepted by: Ada") == 2


def test_an_observation_cannot_break_the_table_or_the_page(tmp_path):
    text = add(tmp_path, observation="a | b\n<!-- end of sessions: staging --> `x`")

    assert text.count("<!-- end of sessions: staging -->") == 1
    assert all(line.count(" | ") == 4 for line in text.splitlines() if line.startswith("| 1 |"))


def test_a_report_without_its_mark_is_refused_and_not_changed(tmp_path):
    path = tmp_path / "PAYMENT_E2E_LIVE_REPORT.md"
    path.write_text("A page by the operator.\n")

    with pytest.raises(report.MarkMissing):
        add(tmp_path)

    assert path.read_text() == "A page by the operator.\n"


@pytest.mark.parametrize(
    "phrase",
    [
        "Pass 1: staging, dry run",
        "Pass 2: production, live run",
        "Acceptance gate",
        "about 5 EUR",
        "own personal card",
        "Sandbox taken for live",
        "5 to 7 business days",
        "VAT line",
        "docs/archive/payment-e2e",
        "GO_NO_GO.md",
    ],
)
def test_the_template_holds_what_an_operator_must_know(phrase):
    assert phrase in TEMPLATE


def test_the_committed_report_holds_no_session():
    assert report.blank() == TEMPLATE


def test_the_go_no_go_page_names_the_row_that_the_live_run_unblocks():
    rows = (ROOT / "docs" / "GO_NO_GO.md").read_text().splitlines()

    assert any("**Live payments**" in row and "PAYMENT_E2E_LIVE_REPORT.md" in row for row in rows)
