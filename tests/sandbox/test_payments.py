import pytest

from tests.sandbox.actors import create_payment, error_of, paid_payment
from tests.sandbox.process import Sandbox


def test_a_new_payment_shows_every_key_and_a_link(sandbox):
    payment = create_payment(sandbox, metadata={"order": "1"}, session_expiry=600)

    assert payment["status"] == "requires_payment_method"
    assert payment["payment_method"] is None
    assert payment["error_code"] is None
    assert payment["client_secret"].startswith("pay_1_secret_")
    assert payment["payment_link"]["link"].startswith(f"{sandbox.url}/payment_link/merchant_sandbox/pay_1")
    assert payment["created"].endswith("Z")
    assert len(payment["created"]) == len("2026-08-21T10:00:00.123Z")


def test_tax_and_shipping_are_added_on_top(sandbox):
    payment = create_payment(sandbox, order_tax_amount=9_50, shipping_cost=5_00)

    assert payment["amount"] == 50_00
    assert payment["net_amount"] == 64_50


@pytest.mark.parametrize("amount", [50_00, 70_00])
def test_a_second_payment_with_the_same_id_is_always_refused(sandbox, amount):
    create_payment(sandbox)

    again = sandbox.hyperswitch("POST", "/payments", json={"payment_id": "pay_1", "amount": amount, "currency": "EUR"})

    assert error_of(again) == (400, "HE_01")
    assert again.json()["error"]["reason"] == 'PaymentId("pay_1") already exists'


def test_other_errors_of_the_second_body_come_before_the_duplicate(sandbox):
    create_payment(sandbox)

    params = {"payment_id": "pay_1", "amount": 1, "currency": "EUR", "payment_link": True}
    assert error_of(sandbox.hyperswitch("POST", "/payments", json=params)) == (400, "IR_04")


def test_an_idempotency_key_has_no_effect_on_payments(sandbox):
    params = {"amount": 1_00, "currency": "EUR"}
    headers = {"Idempotency-Key": "same"}

    first, second = (sandbox.hyperswitch("POST", "/payments", json=params, headers=headers) for _ in range(2))

    assert first.json()["payment_id"] != second.json()["payment_id"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"colour": "red"},
        {"amount": "100"},
        {"amount": None},
        {"amount": True},
        {"currency": "eur"},
        {"order_details": [{"product_name": "font"}]},
        {"capture_method": "sometimes"},
        {"payment_method_id": "pm_1"},
    ],
)
def test_a_body_that_does_not_fit_has_the_second_error_format(sandbox, wrong):
    response = sandbox.hyperswitch("POST", "/payments", json={"amount": 100, "currency": "EUR", **wrong})

    error = response.json()["error"]
    assert response.status_code == 400
    assert error["error_type"] == "invalid_request"
    assert "type" not in error
    assert error["message"].startswith("Json deserialize error: ")


@pytest.mark.parametrize(
    ("wrong", "status", "code"),
    [
        ({"payment_link": True, "return_url": "https://a.example", "confirm": True}, 422, "IR_06"),
        ({"capture_method": "scheduled"}, 501, "IR_00"),
        ({"session_expiry": 59}, 422, "IR_05"),
        ({"payment_id": "with space"}, 422, "IR_05"),
        ({"amount_to_capture": 1}, 400, "IR_16"),
        ({"split_payments": {"stripe_split_payment": {"application_fees": 101}}}, 400, "IR_07"),
        ({"confirm": True}, 400, "IR_04"),
    ],
)
def test_each_unsupported_parameter_is_refused_with_its_code(sandbox, wrong, status, code):
    response = sandbox.hyperswitch("POST", "/payments", json={"amount": 100, "currency": "EUR", **wrong})

    assert error_of(response) == (status, code)


def test_an_unknown_payment_is_404(sandbox):
    response = sandbox.hyperswitch("GET", "/payments/pay_none")

    assert error_of(response) == (404, "HE_02")
    assert response.json()["error"]["message"] == "Payment does not exist in our records"


def test_a_wrong_key_and_a_wrong_address_are_refused(sandbox):
    wrong_key = sandbox.hyperswitch("GET", "/payments/pay_1", headers={"api-key": "snd_other"})

    assert error_of(wrong_key) == (401, "IR_01")
    assert error_of(sandbox.hyperswitch("GET", "/nowhere")) == (404, "IR_02")
    assert error_of(sandbox.hyperswitch("DELETE", "/payments/pay_1")) == (405, "IR_03")


def test_an_unpaid_payment_can_be_cancelled_and_a_paid_one_cannot(sandbox):
    create_payment(sandbox, "pay_open")
    paid_payment(sandbox, "pay_paid")

    open_payment = sandbox.hyperswitch("POST", "/payments/pay_open/cancel", json={"cancellation_reason": "late"})
    payment = sandbox.hyperswitch("POST", "/payments/pay_paid/cancel", json={})

    assert (open_payment.json()["status"], open_payment.json()["cancellation_reason"]) == ("cancelled", "late")
    assert error_of(payment) == (400, "IR_14")


def test_a_payment_captured_by_hand_is_authorized_first(sandbox):
    payment = paid_payment(sandbox, capture_method="manual")
    capture = sandbox.hyperswitch("POST", "/payments/pay_1/capture", json={"amount_to_capture": 30_00}).json()

    assert payment["status"] == "requires_capture"
    assert (capture["status"], capture["amount_received"]) == ("partially_captured", 30_00)
    assert sandbox.truth()["totals"]["payment"] == {"EUR": 30_00}


def test_a_saved_method_is_charged_off_session_until_the_bank_declines(sandbox):
    payment = paid_payment(sandbox, customer_id="cus_1", setup_future_usage="off_session")
    params = {
        "amount": 9_00,
        "currency": "EUR",
        "customer_id": "cus_1",
        "confirm": True,
        "off_session": True,
        "recurring_details": {"type": "payment_method_id", "data": payment["payment_method_id"]},
    }

    first = sandbox.hyperswitch("POST", "/payments", json=params).json()
    sandbox.control("customers/cus_1", off_session_outcome="failed", error_code="expired_card")
    second = sandbox.hyperswitch("POST", "/payments", json=params).json()

    assert first["status"] == "succeeded"
    assert (second["status"], second["error_code"]) == ("failed", "expired_card")


def test_a_deleted_method_is_gone(sandbox):
    method_id = paid_payment(sandbox, customer_id="cus_1", setup_future_usage="off_session")["payment_method_id"]

    first, second = (sandbox.hyperswitch("DELETE", f"/payment_methods/{method_id}") for _ in range(2))

    assert first.json() == {"payment_method_id": method_id, "deleted": True}
    assert error_of(second) == (404, "HE_02")


def test_a_payment_of_zero_saves_a_card_and_moves_nothing(sandbox):
    fields = {"customer_id": "cus_1", "setup_future_usage": "off_session", "payment_type": "setup_mandate"}
    payment = paid_payment(sandbox, amount=0, **fields)

    assert (payment["status"], payment["amount_received"]) == ("succeeded", 0)
    assert payment["payment_method_id"].startswith("pm_")
    assert sandbox.truth()["movements"] == []


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"amount": 0}, "IR_06"),
        ({"amount": 0, "setup_future_usage": "off_session"}, "IR_04"),
        ({"amount": 1, "payment_type": "setup_mandate"}, "IR_06"),
    ],
)
def test_a_payment_of_zero_needs_a_customer_to_save_for(sandbox, fields, code):
    answer = sandbox.hyperswitch("POST", "/payments", json={"currency": "EUR"} | fields)

    assert error_of(answer)[1] == code


def test_a_forced_sync_finds_what_the_bank_decided(sandbox):
    sandbox.settings(payment_outcome="processing")
    before = paid_payment(sandbox)
    sandbox.control("payments/pay_1", status="succeeded", when_synced=True)

    plain_read = sandbox.hyperswitch("GET", "/payments/pay_1").json()
    forced_read = sandbox.hyperswitch("GET", "/payments/pay_1?force_sync=true").json()

    assert (before["status"], before["amount_received"]) == ("processing", 50_00)
    assert (plain_read["status"], forced_read["status"]) == ("processing", "succeeded")


def test_payments_are_listed_newest_first_behind_a_cursor(sandbox):
    for number in range(3):
        create_payment(sandbox, f"pay_{number}", customer_id="cus_1")

    page = sandbox.hyperswitch("GET", "/payments/list?customer_id=cus_1&starting_after=pay_2&limit=5").json()

    assert page["size"] == 2
    assert [payment["payment_id"] for payment in page["data"]] == ["pay_1", "pay_0"]


def test_links_lead_where_browsers_find_the_sandbox():
    with Sandbox(public_url="https://sandbox.example") as sandbox:
        payment = create_payment(sandbox)

    assert payment["payment_link"]["link"].startswith("https://sandbox.example/payment_link/")


def test_a_refused_confirmation_changes_nothing(sandbox):
    create_payment(sandbox)

    refusal = sandbox.hyperswitch("POST", "/payments/pay_1/confirm", json={"description": "other"})

    assert error_of(refusal) == (400, "IR_04")
    assert sandbox.hyperswitch("GET", "/payments/pay_1").json()["description"] is None


def test_a_card_confirmed_by_api_is_declined_with_200(sandbox):
    create_payment(sandbox)
    card = {"card": {"card_number": "4000000000000002"}}

    answer = sandbox.hyperswitch("POST", "/payments/pay_1/confirm", json={"payment_method_data": card})

    assert answer.status_code == 200
    assert (answer.json()["status"], answer.json()["error_code"]) == ("failed", "card_declined")
