import pytest

from tests.sandbox.actors import ask_refund, create_payment, error_of, paid_payment


def status_of(sandbox, refund_id="ref_1"):
    return sandbox.hyperswitch("GET", f"/refunds/{refund_id}").json()["status"]


def test_a_refund_is_pending_until_the_bank_has_answered(sandbox):
    paid_payment(sandbox)

    refund = ask_refund(sandbox).json()

    assert refund["status"] == "pending"
    sandbox.wait_for(lambda: status_of(sandbox) == "succeeded")


def test_without_an_amount_the_whole_payment_is_refunded(sandbox):
    paid_payment(sandbox)

    assert ask_refund(sandbox, amount=None).json()["amount"] == 50_00


def test_repeating_a_partial_refund_is_a_duplicate(sandbox):
    paid_payment(sandbox)
    ask_refund(sandbox, amount=10_00)

    again = ask_refund(sandbox, amount=10_00)

    assert error_of(again) == (400, "HE_01")


def test_repeating_a_full_refund_is_too_big_and_never_a_duplicate(sandbox):
    paid_payment(sandbox)
    ask_refund(sandbox, amount=50_00)

    assert error_of(ask_refund(sandbox, amount=50_00)) == (400, "IR_13")


def test_a_repeat_larger_than_the_remainder_is_too_big(sandbox):
    paid_payment(sandbox)
    ask_refund(sandbox, amount=30_00)

    assert error_of(ask_refund(sandbox, amount=30_00)) == (400, "IR_13")


def test_the_checks_run_in_the_contracts_order(sandbox):
    unknown = ask_refund(sandbox, amount=0)
    create_payment(sandbox)
    unpaid = ask_refund(sandbox, amount=0)
    sandbox.pay("pay_1")
    nothing = ask_refund(sandbox, amount=0)
    sandbox.control("payments/pay_1", age_days=366)
    too_big = ask_refund(sandbox, amount=50_01)
    too_old = ask_refund(sandbox, amount=1)

    errors = [error_of(answer) for answer in (unknown, unpaid, nothing, too_big, too_old)]
    assert errors == [(404, "HE_02"), (400, "IR_14"), (422, "IR_05"), (400, "IR_13"), (422, "IR_05")]


def test_a_lost_dispute_lowers_what_can_be_refunded(sandbox):
    paid_payment(sandbox)
    sandbox.control("disputes", payment_id="pay_1", amount=45_00, status="dispute_lost")

    assert error_of(ask_refund(sandbox, amount=5_01)) == (400, "IR_13")
    assert ask_refund(sandbox, amount=5_00).status_code == 200


def test_a_twelfth_refund_is_one_too_many(sandbox):
    paid_payment(sandbox)
    answers = [ask_refund(sandbox, f"ref_{number}", amount=1) for number in range(12)]

    assert all(answer.status_code == 200 for answer in answers[:11])
    assert error_of(answers[11]) == (400, "IR_12")


def test_a_failed_refund_frees_its_amount_but_not_its_id(sandbox):
    sandbox.settings(refund_outcome="fail")
    paid_payment(sandbox)
    ask_refund(sandbox, amount=40_00)
    sandbox.wait_for(lambda: status_of(sandbox) == "failed")

    assert error_of(ask_refund(sandbox, amount=40_00)) == (400, "HE_01")
    assert ask_refund(sandbox, "ref_2", amount=40_00).status_code == 200


def test_a_refund_can_stay_pending_until_its_status_is_set(sandbox):
    sandbox.settings(refund_outcome="stay_pending")
    paid_payment(sandbox)
    ask_refund(sandbox)

    sandbox.control("refunds/ref_1", status="succeeded")

    assert status_of(sandbox) == "succeeded"
    assert sandbox.truth()["totals"]["refund"] == {"EUR": 10_00}


def test_a_refund_in_review_emits_nothing(sandbox):
    sandbox.settings(refund_outcome="review")
    paid_payment(sandbox)
    ask_refund(sandbox)

    sandbox.wait_for(lambda: status_of(sandbox) == "review")
    assert [event["event_type"] for event in sandbox.webhooks()] == ["payment_succeeded"]


def test_a_refund_returned_by_the_bank_undoes_its_movement(sandbox):
    sandbox.settings(refund_outcome="succeed_at_once")
    paid_payment(sandbox)
    ask_refund(sandbox)

    sandbox.control("refunds/ref_1", status="failed")

    amounts = [entry["amount"] for entry in sandbox.truth()["movements"] if entry["kind"] == "refund"]
    assert amounts == [10_00, -10_00]


def test_an_external_refund_is_listed_like_any_other(sandbox):
    paid_payment(sandbox)
    refund = sandbox.control("dashboard_refunds", payment_id="pay_1", amount=7_00)

    page = sandbox.hyperswitch("POST", "/refunds/list", json={"payment_id": "pay_1", "limit": 5}).json()

    assert (page["count"], page["total_count"]) == (1, 1)
    assert page["data"][0]["refund_id"] == refund["refund_id"]


@pytest.mark.parametrize("wrong", [{"amount": "1"}, {"colour": 1}, {"payment_id": None}])
def test_a_refund_body_that_does_not_fit_has_the_second_error_format(sandbox, wrong):
    response = sandbox.hyperswitch("POST", "/refunds", json={"payment_id": "pay_1", "amount": 1, **wrong})

    assert response.status_code == 400
    assert response.json()["error"]["error_type"] == "invalid_request"


def test_a_dispute_has_a_string_amount_and_is_listed_in_a_bare_array(sandbox):
    paid_payment(sandbox)
    dispute_id = sandbox.control("disputes", payment_id="pay_1", amount=50_00)["dispute_id"]
    sandbox.control(f"disputes/{dispute_id}", status="dispute_won")

    dispute = sandbox.hyperswitch("GET", f"/disputes/{dispute_id}").json()
    disputes = sandbox.hyperswitch("GET", "/disputes/list?payment_id=pay_1&dispute_status=dispute_won").json()

    assert (dispute["amount"], dispute["dispute_status"]) == ("5000", "dispute_won")
    assert disputes == [dispute]
    assert sandbox.truth()["totals"]["dispute"] == {"EUR": 0}
