"""The session log records everything but secrets, and reveals every later change."""

import json

import pytest

from acceptance.session_log import ChainBroken, SessionLog, latest, read_chain
from tests.operators.conftest import NOON
from veza.core.logs import MASK


@pytest.fixture
def three_lines(log):
    for number in range(3):
        log.write("exchange", url=f"https://shop.example.org/{number}", answered={"amount_minor": 500 + number})
    return log


def test_the_lines_can_be_read_back(three_lines):
    assert read_chain(three_lines.path) == three_lines.lines
    assert three_lines.lines[-1]["hash"] == three_lines.seal


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("change", [b"501", b"500", b"502"])
def test_a_changed_amount_is_detected_in_every_line(three_lines, number, change):
    lines = three_lines.path.read_bytes().splitlines(keepends=True)
    wrong = lines[number - 1].replace(f"50{number - 1}".encode(), b"999")
    three_lines.path.write_bytes(b"".join([*lines[: number - 1], wrong, *lines[number:]]))

    with pytest.raises(ChainBroken, match=f"line {number}"):
        read_chain(three_lines.path)


@pytest.mark.parametrize("order", [(0, 2), (1, 0, 2), (0, 1, 1, 2), (1, 2)])
def test_a_removed_moved_or_repeated_line_is_detected(three_lines, order):
    lines = three_lines.path.read_bytes().splitlines(keepends=True)
    three_lines.path.write_bytes(b"".join(lines[number] for number in order))

    with pytest.raises(ChainBroken):
        read_chain(three_lines.path)


def test_lines_missing_at_the_end_are_detected_by_the_seal(three_lines):
    lines = three_lines.path.read_bytes().splitlines(keepends=True)
    three_lines.path.write_bytes(b"".join(lines[:2]))

    assert read_chain(three_lines.path)[-1]["hash"] != three_lines.seal


def test_a_line_torn_by_a_crash_is_removed_and_that_is_logged(three_lines):
    with three_lines.path.open("ab") as out:
        out.write(b'{"n": 4, "kind": "exch')

    log = SessionLog.resume(three_lines.path)

    assert [line["kind"] for line in log.lines] == ["exchange"] * 3 + ["torn_line_removed"]
    assert read_chain(log.path) == log.lines


def test_a_resumed_log_continues_the_chain(three_lines):
    SessionLog.resume(three_lines.path).write("session_resumed")

    assert [line["n"] for line in read_chain(three_lines.path)] == [1, 2, 3, 4]


def test_two_sessions_in_one_second_have_separate_logs(log, tmp_path):
    other = SessionLog.begin(tmp_path, at=NOON)

    assert log.path != other.path
    assert latest(tmp_path) == max(log.path, other.path)
    assert log.name != other.name


@pytest.mark.parametrize(
    "fields",
    [
        {"password": "canary canary"},
        {"asked": {"password": "canary canary"}},
        {"answered": {"access_token": "canary canary", "refresh_token": "canary canary"}},
        {"answered": {"items": [{"client_secret": "canary canary"}]}},
        {"answered": "you sent canary canary as password"},
        {"answered": {"canary canary": ["canary canary"]}},
    ],
)
def test_a_secret_is_masked_by_name_and_wherever_it_is_returned(log, fields):
    log.hide_secret("canary canary")

    log.write("exchange", **fields)

    assert "canary canary" not in log.path.read_text()
    assert MASK in log.path.read_text()


@pytest.mark.parametrize("secret", ["sk_live_51H8xQ2eZvKYlo2C0", "snd_c69FpDgJRn0yRIqGrJiWx3CY", "4242 4242 4242 4242"])
def test_keys_and_card_numbers_are_masked_by_their_shape(log, secret):
    log.write("exchange", answered={"text": f"here: {secret}"})

    assert secret not in log.path.read_text()


def test_only_the_operator_can_read_the_file(log):
    assert log.path.stat().st_mode & 0o077 == 0


def test_every_line_is_one_json_object_with_a_time(three_lines):
    lines = [json.loads(line) for line in three_lines.path.read_text().splitlines()]

    assert all({"n", "at", "kind", "before", "hash"} <= line.keys() for line in lines)
