import io
import json
import logging

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from veza.core.logs import MASK, logging_config, mask_secrets, mask_text

CANARIES = {
    "a Stripe key": "sk_test_51H8xQ2eZvKYlo2C0",
    "a restricted key": "rk_live_51H8xQ2eZvKYlo2C0",
    "a webhook secret": "whsec_5f3a9c1d7e8b4a2f",
    "a Hyperswitch key": "snd_c69FpDgJRn0yRIqGrJiWx3CY",
    "a client secret": "pay_0123456789ABCDEFGHJKMNPQRS_secret_9vN2kQ",
    "a token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dBjftJeZ4CVP-mB92K27uhbUJU1p1r",
    "a card number": "4242424242424242",
    "a card number in groups": "4242 4242 4242 4242",
    "a card number with dashes": "5555-5555-5555-4444",
}


@pytest.fixture
def log_lines():
    """A logger of our own configuration that writes into a list of lines."""
    stream = io.StringIO()
    formatter = dict(logging_config("INFO")["formatters"]["json"])
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter.pop("()")(**formatter))
    logger = logging.getLogger("tests.masked")
    logger.addHandler(handler)
    logger.setLevel("INFO")
    logger.propagate = False
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    logger.removeHandler(handler)
    logger.propagate = True


@pytest.mark.parametrize("secret", CANARIES.values(), ids=CANARIES.keys())
def test_a_secret_is_masked_wherever_it_stands_in_a_text(secret):
    text = mask_text(f"before {secret}, after")

    assert secret not in text
    assert MASK in text
    assert text.endswith(", after")


@pytest.mark.parametrize("secret", CANARIES.values(), ids=CANARIES.keys())
def test_a_secret_is_masked_inside_nested_fields(secret):
    event = mask_secrets(None, "info", {"event": "x", "detail": {"list": [{"text": secret}]}})

    assert secret not in json.dumps(event)


@pytest.mark.parametrize(
    "name", ["password", "api_key", "api-key", "Authorization", "client_secret", "refresh_token", "Cookie"]
)
def test_a_field_named_like_a_secret_is_masked_whatever_it_holds(name):
    assert mask_secrets(None, "info", {name: "hunter2"}) == {name: MASK}


@pytest.mark.parametrize(
    "text",
    ["019a8f3e-7b4c-7d21-9e55-0242ac120002", "order 1234567890123456", "pay_01K9ZZZZZZZZZZZZZZZZZZZZZZ"],
)
def test_ids_are_not_taken_for_secrets(text):
    assert mask_text(text) == text


@given(st.uuids(version=4))
def test_no_uuid_is_ever_masked(key):
    assert mask_text(f"row {key} moved") == f"row {key} moved"


def test_a_line_is_one_json_object_with_the_requests_id(log_lines):
    with structlog.contextvars.bound_contextvars(request_id="abc"):
        structlog.get_logger("tests.masked").info("paid", amount_minor=1250)

    (line,) = log_lines()
    assert (line["event"], line["amount_minor"], line["request_id"]) == ("paid", 1250, "abc")
    assert line["level"] == "info"


def test_a_line_of_a_library_is_json_and_masked_too(log_lines):
    logging.getLogger("tests.masked").warning("key %s is odd", CANARIES["a Stripe key"])

    (line,) = log_lines()
    assert line["event"] == f"key {MASK} is odd"


def test_the_text_of_an_exception_is_masked(log_lines):
    error = RuntimeError(f"cannot use {CANARIES['a webhook secret']}")

    logging.getLogger("tests.masked").error("failed", exc_info=error)

    (line,) = log_lines()
    assert MASK in line["exception"]
    assert CANARIES["a webhook secret"] not in json.dumps(line)
