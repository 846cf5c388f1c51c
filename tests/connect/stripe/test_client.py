"""Stripe's answers on the wire, byte for byte, and the outcome of each."""

import json
import logging
import socket

import pytest

from connect.stripe import calls as stripe_calls
from connect.stripe import client as stripe_api
from connect.stripe.client import create_account, create_reversal, create_transfer, list_transfers, read_transfer
from tests.connect.raw_stripe import RawStripe
from veza.core.ids import new_id
from veza.core.outcomes import Accepted, NotSent, Refused, Unknown

pytestmark = pytest.mark.django_db
KEY = "sk_test_canary123456"
TRANSFER = {
    "id": "tr_1",
    "object": "transfer",
    "amount": 900,
    "amount_reversed": 0,
    "currency": "eur",
    "destination": "acct_1",
    "metadata": {"transfer_id": "ours"},
    "reversals": {"object": "list", "data": [], "has_more": False, "url": "/v1/transfers/tr_1/reversals"},
    "reversed": False,
    "transfer_group": "order",
}


@pytest.fixture
def raw(settings):
    server = RawStripe()
    server.start()
    settings.STRIPE_SECRET_KEY, settings.STRIPE_BASE_URL = KEY, server.url
    settings.STRIPE_RATE_PER_SECOND = 10_000
    yield server
    server.stop()


def send(**changes):
    params = {
        "transfer_id": new_id(),
        "order_id": new_id(),
        "amount_minor": 900,
        "currency": "EUR",
        "destination": "acct_1",
        "idempotency_key": "row:transfer:0",
    }
    return create_transfer(**{**params, **changes})


def reverse(**changes):
    params = {
        "stripe_transfer_id": "tr_1",
        "amount_minor": 900,
        "currency": "EUR",
        "reversal_id": new_id(),
        "order_id": new_id(),
        "idempotency_key": "row:reversal:0-900:0",
    }
    return create_reversal(**{**params, **changes})


def error(kind="invalid_request_error", **fields):
    return json.dumps({"error": {"type": kind, "message": "No.", **fields}}).encode()


NOT_JSON = b"<html>502 Bad Gateway</html>"
ANSWERS = [
    (400, error(code="balance_insufficient"), Refused),
    (400, error(), Refused),
    (404, error(code="resource_missing"), Refused),
    (402, error("card_error", code="card_declined"), Refused),
    (400, error("idempotency_error"), Unknown),
    (401, error(), NotSent),
    (403, error(code="account_invalid"), NotSent),
    (401, NOT_JSON, NotSent),
    (409, error("idempotency_error", code="idempotency_key_in_use"), Unknown),
    (429, error(code="lock_timeout"), Unknown),
    (429, error(code="rate_limit"), Unknown),
    (400, error(code="rate_limit"), Unknown),
    (500, error("api_error"), Unknown),
    (503, error("api_error"), Unknown),
    (502, NOT_JSON, Unknown),
    (400, NOT_JSON, Unknown),
    (404, b"{}", Unknown),
    (405, error(), Unknown),
    (200, NOT_JSON, Unknown),
    (200, b"", Unknown),
    (200, b"[]", Unknown),
    (200, b"null", Unknown),
    (200, b"{}", Unknown),
    (200, b"\xff\xfe", Unknown),
    (200, b"[" * 60_000, Unknown),
    (400, b'{"error": []}', Unknown),
    (400, b'{"error": 7}', Unknown),
    (200, json.dumps({**TRANSFER, "amount": True}).encode(), Unknown),
    (200, json.dumps({**TRANSFER, "amount": 901}).encode(), Unknown),
    (200, json.dumps({**TRANSFER, "currency": "usd"}).encode(), Unknown),
    (200, json.dumps({**TRANSFER, "destination": "acct_2"}).encode(), Unknown),
    (200, json.dumps({**TRANSFER, "id": ""}).encode(), Unknown),
    (200, json.dumps(TRANSFER).encode(), Accepted),
]


@pytest.mark.parametrize(("status", "body", "outcome"), ANSWERS)
def test_every_answer_is_one_of_four_outcomes_after_one_request(raw, status, body, outcome):
    raw.status, raw.body = status, body

    payload = send()

    assert type(payload) is outcome, payload
    assert len(raw.requests) == 1


def test_a_refusal_keeps_its_code_and_its_sentence(raw):
    raw.status, raw.body = 400, error(code="balance_insufficient", message="Too low.")

    payload = send()

    assert (payload.code, payload.message, payload.call.status) == ("balance_insufficient", "Too low.", 400)


def test_a_refusal_without_a_code_has_an_empty_one(raw):
    raw.status, raw.body = 400, error(message="The transfer tr_1 is already fully reversed.")

    assert reverse().code == ""


def test_a_connection_that_is_refused_sent_nothing(settings):
    settings.STRIPE_SECRET_KEY, settings.STRIPE_BASE_URL = KEY, f"http://127.0.0.1:{unused_port()}"

    assert isinstance(send(), NotSent)


def test_an_answer_that_never_comes_is_unknown(raw, monkeypatch):
    monkeypatch.setattr(stripe_calls, "READ_SECONDS", 0.2)
    raw.seconds = 0.5

    assert isinstance(send(), Unknown)


def test_a_connection_that_ends_without_an_answer_is_unknown(raw):
    raw.silent = True

    assert isinstance(send(), Unknown)


def test_half_an_answer_is_unknown(raw):
    raw.body, raw.cut = json.dumps(TRANSFER).encode()[:40], True

    assert isinstance(send(), Unknown)


def test_a_redirect_is_not_followed(raw):
    raw.status, raw.headers = 307, {"Location": f"{raw.url}/elsewhere"}

    assert isinstance(send(), Unknown)
    assert [params.path for params in raw.requests] == ["/v1/transfers"]


def test_an_answer_without_an_end_is_cut_off(raw, monkeypatch):
    monkeypatch.setattr(stripe_calls, "MAX_ANSWER_BYTES", 1_000)
    raw.body = json.dumps({**TRANSFER, "description": "x" * 5_000}).encode()

    assert isinstance(send(), Unknown)


def test_stripe_switched_off_is_not_sent(settings):
    settings.STRIPE_SECRET_KEY = ""

    assert isinstance(send(), NotSent)


def test_a_transfer_is_sent_as_documented(raw):
    order_id, transfer_id = new_id(), new_id()
    raw.body = json.dumps(TRANSFER).encode()

    send(order_id=order_id, transfer_id=transfer_id, idempotency_key="row:transfer:3")

    (params,) = raw.requests
    assert params.form == {
        "amount": "900",
        "currency": "eur",
        "destination": "acct_1",
        "transfer_group": str(order_id),
        "description": f"Order {order_id}",
        "metadata[order_id]": str(order_id),
        "metadata[transfer_id]": str(transfer_id),
    }
    assert params.headers["Idempotency-Key"] == "row:transfer:3"
    assert "X-Stripe-Client-Telemetry" not in params.headers


def test_a_reversal_always_sends_its_amount(raw):
    raw.body = json.dumps({"id": "trr_1", "transfer": "tr_1", "amount": 900, "currency": "eur"}).encode()

    payload = reverse()

    assert isinstance(payload, Accepted)
    assert (raw.requests[0].path, raw.requests[0].form["amount"]) == ("/v1/transfers/tr_1/reversals", "900")


def test_a_reversal_of_another_amount_is_unknown(raw):
    raw.body = json.dumps({"id": "trr_1", "transfer": "tr_1", "amount": 901, "currency": "eur"}).encode()

    assert isinstance(reverse(), Unknown)


@pytest.mark.parametrize("amount", [None, True, 0, -1, 10.5, "900", 2**53])
@pytest.mark.parametrize("ask", [send, reverse])
def test_an_amount_that_is_no_positive_integer_is_our_bug(raw, ask, amount):
    with pytest.raises(ValueError, match="positive integer"):
        ask(amount_minor=amount)

    assert raw.requests == []


@pytest.mark.parametrize(
    ("ask", "missing"),
    [
        (send, "idempotency_key"),
        (send, "destination"),
        (reverse, "idempotency_key"),
        (reverse, "stripe_transfer_id"),
    ],
)
@pytest.mark.parametrize("empty", ["", "  ", None])
def test_an_empty_key_or_id_is_our_bug(raw, ask, missing, empty):
    with pytest.raises(ValueError, match=missing):
        ask(**{missing: empty})

    assert raw.requests == []


def test_an_account_without_an_idempotency_key_is_our_bug(raw):
    with pytest.raises(ValueError, match="idempotency_key"):
        create_account(
            account_id=new_id(),
            email="a@example.com",
            country="DE",
            service_agreement="full",
            capabilities=["transfers"],
            idempotency_key="",
        )


def test_a_list_is_read_to_its_end(raw, monkeypatch):
    pages = iter([({**TRANSFER, "id": "tr_2"}, True), ({**TRANSFER, "id": "tr_1"}, False)])
    params = []

    def one_page(filters, client):
        transfer, more = next(pages)
        params.append(filters.get("starting_after"))
        raw.body = json.dumps({"object": "list", "data": [transfer], "has_more": more, "url": "/v1/transfers"}).encode()
        return client.v1.transfers.list(filters)

    monkeypatch.setattr(stripe_api, "_page_of_transfers", one_page)
    payload = list_transfers(transfer_group="order")

    assert [snapshot.transfer_id for snapshot in payload.value] == ["tr_2", "tr_1"]
    assert params == [None, "tr_2"]


def test_all_transfers_of_the_platform_are_never_listed():
    with pytest.raises(ValueError, match="all transfers"):
        list_transfers()


def test_a_transfer_read_back_shows_its_reversals(raw):
    one = {"id": "trr_1", "transfer": "tr_1", "amount": 400, "currency": "eur", "metadata": {"reversal_id": "ours"}}
    page = {"object": "list", "data": [one], "has_more": False, "url": "/v1/transfers/tr_1/reversals"}
    raw.body = json.dumps({**TRANSFER, "amount_reversed": 400, "reversals": page}).encode()

    snapshot = read_transfer("tr_1").value

    assert snapshot.reversed_minor == 400
    assert [(one.reversal_id, one.amount_minor, one.our_id) for one in snapshot.reversals] == [("trr_1", 400, "ours")]


def test_no_key_and_no_body_reaches_the_log(raw, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    for status, body, _ in ANSWERS:
        raw.status, raw.body = status, body
        send()

    out, err = capfd.readouterr()
    assert KEY not in caplog.text + out + err


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_a_message_that_names_our_key_is_replaced(raw):
    raw.status = 403
    raw.body = error(message="The provided key 'sk_live_abcd' does not have access to account 'acct_1'.")

    payload = stripe_api.read_account("acct_1")

    assert isinstance(payload, NotSent)
    assert "sk_live" not in payload.why
