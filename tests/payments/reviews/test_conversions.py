"""A refund or dispute in another currency puts the payment in doubt until finance enters its amount."""

import pytest
from django.db import transaction
from django.utils import timezone

from connect.models import SellerTransfer
from connect.settlement.reconcile_seller import net_paid
from connect.transfers.transfer_requests import send_due
from marketplace.models import License, Order
from payments.ledger.postings import balances
from payments.models import Dispute, Payment, Refund
from payments.refunds.refund_requests import PaymentInDoubt
from payments.reviews.automatic_refunds import return_unapplied_funds
from payments.reviews.conversions import AmountNotInDoubt, enter_converted_amount
from payments.reviews.write_offs import NothingToWriteOff, write_off_shortfall
from subscriptions.access import effective_payment_of
from subscriptions.unpaid import expire_unpaid, find_unpaid
from tests.buying import (
    ago,
    deliver,
    deliver_dispute,
    deliver_payment,
    deliver_refund,
    envelope,
    order_of,
    paid,
    payment_of,
    refund_object,
    refund_of,
)
from tests.connect.factories import make_seller
from tests.factories import OfferFactory, ProductFactory
from tests.payments.builders import (
    BY_STAFF,
    balances_of,
    handle_waiting_deliveries,
    is_proved,
    open_kinds,
    open_reviews,
)
from tests.subscriptions.subscribing import activate_by_webhook, client_of, last_invoice, last_payment, refund_invoice
from tests.subscriptions.subscribing import is_proved as is_subscription_proved
from veza.backoffice.account_proof import account_faults
from veza.backoffice.verification import verify_ledger
from veza.core.models import ReviewItem
from veza.core.reviews import close_review_by_hand

pytestmark = pytest.mark.django_db
IN_USD = {"amount_minor": 19_50, "currency": "USD"}
PAID = {"psp_clearing": -18_00, "seller": 13_50, "platform_fee": 1_50, "tax": 3_00}


def standing(order: Order) -> tuple[str, set[str]]:
    order.refresh_from_db()
    assert is_proved(order)
    assert list(account_faults()) == []
    return order.status, set(License.objects.filter(order=order).values_list("status", flat=True))


def refund_in_usd(payment: Payment, *, status: str = "succeeded", amount: int = 19_50) -> Refund:
    payload = {"refund_id": "ref_there", "payment_id": payment.provider_key, "amount": amount, "currency": "USD"}
    payload["updated_at"] = ago()
    assert deliver(envelope(f"refund_{status}", payload | {"status": status})).status_code == 200
    return Refund.objects.get(hyperswitch_refund_id="ref_there")


def convert(row: Refund | Dispute, amount_minor: int) -> None:
    enter_converted_amount(row, amount_minor=amount_minor, cause=BY_STAFF)


def euros(order: Order) -> dict[str, int]:
    assert not any(amount for (_, currency), amount in balances(correlation_id=order.pk).items() if currency == "USD")
    return balances_of(order)


@pytest.mark.parametrize("status", ["opened", "lost"])
def test_nothing_is_refunded_while_a_foreign_dispute_is_in_doubt(order, status):
    for _ in range(2):
        deliver_dispute(payment_of(order), status, **IN_USD)

    with pytest.raises(PaymentInDoubt) as refusal:
        refund_of(order)
    assert (refusal.value.code, refusal.value.http_status) == ("payment_in_doubt", 409)
    assert standing(order) == ("completed", {"suspended"})


def test_a_smaller_converted_amount_gives_no_one_what_was_voided(order):
    refund = refund_in_usd(payment_of(order))
    convert(refund, 10_00)
    deliver_payment(payment_of(order), status="failed")

    convert(refund, 4_00)

    assert balances_of(order) == {"psp_clearing": 4_00, "recoverable": -4_00}
    assert set(License.objects.filter(order=order).values_list("status", flat=True)) == {"revoked"}
    assert is_proved(order)


def test_nothing_is_refunded_while_a_foreign_refund_is_in_doubt(order):
    refund_in_usd(payment_of(order))

    with pytest.raises(PaymentInDoubt):
        refund_of(order)
    assert standing(order) == ("completed", {"suspended"})


def test_a_foreign_dispute_that_comes_before_its_payment_waits_for_it(captured_order):
    deliver_dispute(payment_of(captured_order), "lost", **IN_USD)
    assert not payment_of(captured_order).is_in_doubt()

    paid(captured_order)
    handle_waiting_deliveries()

    assert (standing(captured_order), payment_of(captured_order).is_in_doubt()) == (("completed", {"suspended"}), True)


def test_an_opening_that_comes_after_the_loss_changes_nothing(order):
    deliver_dispute(payment_of(order), "lost", **IN_USD)
    convert(Dispute.objects.get(), 18_00)

    assert deliver_dispute(payment_of(order), "opened", **IN_USD).json() == {"result": "skipped: stale"}

    assert (standing(order), euros(order)) == (("refunded", {"revoked"}), {})


def test_a_buyer_is_told_409_payment_in_doubt(order):
    deliver_dispute(payment_of(order), "lost", **IN_USD)

    answer = client_of(order.buyer).post(
        f"/api/v1/marketplace/orders/{order.pk}/refund", {"reason": "x"}, format="json"
    )

    assert (answer.status_code, answer.json()["code"]) == (409, "payment_in_doubt")


def test_unapplied_funds_stay_for_finance_while_the_payment_is_in_doubt(order):
    payment = payment_of(order)
    refund_in_usd(payment)
    with transaction.atomic():
        opened = return_unapplied_funds(payment, surplus={"tax": 1_00}, reason="Late.")

    assert (opened, "unapplied_funds" in open_kinds()) == (False, True)


def test_the_fact_is_booked_in_its_own_currency_meanwhile(order):
    deliver_dispute(payment_of(order), "lost", **IN_USD)

    assert balances(correlation_id=order.pk, currency="USD") == {
        ("recoverable", "USD"): -19_50,
        ("psp_clearing", "USD"): 19_50,
        ("dispute_suspense", "USD"): 0,
    }
    assert payment_of(order).disputed_minor == 0


def test_a_review_item_names_both_amounts_and_the_action(order):
    deliver_dispute(payment_of(order), "lost", **IN_USD)

    item = ReviewItem.objects.get(closed_at=None)
    assert (item.kind, item.amount_minor, item.currency) == ("amount_in_doubt", 19_50, "USD")
    assert "19.50 USD of a payment of 18.00 EUR" in item.why
    assert "Enter converted amount" in item.what_to_do


@pytest.mark.parametrize("kind", ["dispute", "refund"])
def test_the_daily_proof_asks_for_an_amount_that_nothing_asks_for(order, kind):
    if kind == "dispute":
        deliver_dispute(payment_of(order), "lost", **IN_USD)
    else:
        refund_in_usd(payment_of(order))
    ReviewItem.objects.all().delete()  # As it was before Veza knew amounts in doubt.

    for _ in range(2):
        verify_ledger()

    item = ReviewItem.objects.get()
    assert (item.kind, item.amount_minor, item.currency) == ("amount_in_doubt", 19_50, "USD")


def test_the_daily_proof_asks_again_after_a_review_was_just_closed(order):
    deliver_dispute(payment_of(order), "lost", **IN_USD)
    close_review_by_hand(case_id=ReviewItem.objects.get().pk, cause=BY_STAFF)

    verify_ledger()

    assert open_reviews() == [("amount_in_doubt", 19_50)]


def test_an_amount_in_doubt_is_not_written_off(order):
    deliver_dispute(payment_of(order), "lost", **IN_USD)

    with pytest.raises(NothingToWriteOff):
        write_off_shortfall(Dispute.objects.get(), cause=BY_STAFF)


def test_a_lost_dispute_is_booked_with_the_amount_entered(order):
    deliver_dispute(payment_of(order), "lost", **IN_USD)

    convert(Dispute.objects.get(), 18_00)

    assert standing(order) == ("refunded", {"revoked"})
    assert (euros(order), payment_of(order).disputed_minor) == ({}, 18_00)
    assert sum(net_paid(row) for row in SellerTransfer.objects.all()) == 0
    assert open_reviews() == []


def test_an_open_dispute_is_booked_with_the_amount_entered(order):
    deliver_dispute(payment_of(order), "opened", **IN_USD)

    convert(Dispute.objects.get(), 18_00)
    assert euros(order) == {"psp_clearing": -18_00, "dispute_suspense": 18_00}
    assert (standing(order), open_kinds()) == (("completed", {"suspended"}), {"dispute_to_answer"})

    deliver_dispute(payment_of(order), "won", **IN_USD)
    assert (standing(order), euros(order)) == (("completed", {"active"}), PAID)


@pytest.mark.parametrize("end", ["won", "cancelled"])
def test_a_foreign_dispute_that_ends_for_us_ends_the_doubt(order, end):
    deliver_dispute(payment_of(order), "opened", **IN_USD)

    deliver_dispute(payment_of(order), end, **IN_USD)

    assert (standing(order), euros(order), open_reviews()) == (("completed", {"active"}), PAID, [])
    assert refund_of(order).amount_minor == 18_00


def test_less_than_the_payment_leaves_the_rest_refundable(order):
    deliver_dispute(payment_of(order), "lost", **IN_USD)
    convert(Dispute.objects.get(), 6_00)

    deliver_refund(refund_of(order, amount_minor=12_00))

    assert (standing(order), euros(order)) == (("refunded", {"revoked"}), {})


def test_more_than_the_payment_is_recoverable(order):
    deliver_dispute(payment_of(order), "lost", **IN_USD)

    convert(Dispute.objects.get(), 19_00)

    assert euros(order) == {"psp_clearing": 1_00, "recoverable": -1_00}
    assert open_reviews() == [("dispute_exceeds_payment", 1_00)]
    assert write_off_shortfall(Dispute.objects.get(), cause=BY_STAFF) == 1_00
    assert is_proved(order)


def test_an_amount_that_was_mistyped_is_entered_again(order):
    deliver_dispute(payment_of(order), "lost", **IN_USD)
    convert(Dispute.objects.get(), 19_00)
    write_off_shortfall(Dispute.objects.get(), cause=BY_STAFF)

    convert(Dispute.objects.get(), 9_00)

    assert (standing(order)[0], payment_of(order).disputed_minor) == ("completed", 9_00)
    assert euros(order) == {"psp_clearing": -9_00, "seller": 6_75, "platform_fee": 75, "tax": 1_50}


def test_a_new_amount_of_the_dispute_is_in_doubt_again(order, sandbox):
    given = sandbox.control(
        "disputes", payment_id=payment_of(order).provider_key, amount=19_50, currency="USD", silent=True
    )
    deliver_dispute(payment_of(order), "opened", dispute_id=given["dispute_id"], **IN_USD)
    convert(Dispute.objects.get(), 18_00)

    deliver_dispute(payment_of(order), "lost", dispute_id=given["dispute_id"], amount_minor=10_00, currency="USD")

    assert (Dispute.objects.get().converted_minor, payment_of(order).is_in_doubt()) == (None, True)
    assert standing(order) == ("completed", {"suspended"})


def test_a_dispute_whose_currency_is_corrected_is_booked_in_the_right_one(order):
    deliver_dispute(payment_of(order), "opened", **IN_USD)

    deliver_dispute(payment_of(order), "lost")

    assert (standing(order), euros(order), open_reviews()) == (("refunded", {"revoked"}), {}, [])


def test_a_foreign_refund_is_booked_with_the_amount_entered(order):
    refund = refund_in_usd(payment_of(order))

    convert(refund, 18_00)

    assert standing(order) == ("refunded", {"revoked"})
    assert (euros(order), payment_of(order).refunded_minor) == ({}, 18_00)
    assert open_kinds() == {"external_refund"}


def test_a_foreign_amount_may_be_a_smaller_number_than_ours(order):
    convert(refund_in_usd(payment_of(order), amount=15_00), 18_00)

    assert (standing(order), euros(order)) == (("refunded", {"revoked"}), {})


def test_a_part_in_another_currency_takes_items_like_any_external_refund(order):
    convert(refund_in_usd(payment_of(order)), 6_00)

    assert standing(order) == ("completed", {"active"})
    assert sum(line.total_minor for line in Refund.objects.get().lines.all()) == 6_00
    assert euros(order) == {"psp_clearing": -12_00, "seller": 9_00, "platform_fee": 1_00, "tax": 2_00}


def test_a_converted_refund_that_the_bank_returns_gives_all_back(order):
    convert(refund_in_usd(payment_of(order)), 18_00)

    refund_in_usd(payment_of(order), status="failed")

    assert (standing(order), euros(order)) == (("completed", {"active"}), PAID)
    assert open_kinds() == {"refund_returned"}


def test_a_foreign_refund_that_the_bank_returns_ends_the_doubt(order):
    refund_in_usd(payment_of(order))

    refund_in_usd(payment_of(order), status="failed")

    assert (standing(order), open_kinds()) == (("completed", {"active"}), {"refund_returned"})


def test_a_refund_of_ours_that_ends_in_another_currency_is_in_doubt(order):
    refund = refund_of(order)

    deliver_refund(refund, amount=19_50, currency="USD")
    assert (standing(order), payment_of(order).is_in_doubt()) == (("completed", {"suspended"}), True)

    convert(refund, 18_00)
    assert (standing(order), euros(order)) == (("refunded", {"revoked"}), {})


def test_an_amount_in_the_payments_currency_is_not_entered(order):
    deliver_dispute(payment_of(order), "lost")

    with pytest.raises(AmountNotInDoubt):
        convert(Dispute.objects.get(), 18_00)


def test_transfers_wait_for_the_doubt_and_leave_when_it_ends(sandbox):
    seller = make_seller(stripe_account_id=sandbox.create_account())
    order = paid(order_of(OfferFactory(product=ProductFactory(seller=seller))))
    refund_in_usd(payment_of(order))
    send_due()
    transfer = order.transfers.get()
    assert (transfer.status, transfer.waiting_for) == ("pending", "payment")

    convert(Refund.objects.get(), 6_00)
    send_due()

    transfer.refresh_from_db()
    assert (transfer.status, transfer.waiting_for, transfer.sent_minor) == ("completed", "", 4_50)


def test_transfers_wait_for_a_refund_of_ours_in_review_in_another_currency(sandbox):
    seller = make_seller(stripe_account_id=sandbox.create_account())
    order = paid(order_of(OfferFactory(product=ProductFactory(seller=seller))))
    sandbox.pay(payment_of(order).provider_key)
    refund = refund_of(order)

    for _ in range(2):
        deliver(envelope("refund_failed", refund_object(refund, status="review", amount=19_50, currency="USD")))
        send_due()
    assert order.transfers.values_list("status", "waiting_for").get() == ("pending", "payment")

    deliver_refund(refund, status="failed")
    send_due()
    assert order.transfers.get().status == "completed"
    assert open_reviews() == []


@pytest.fixture
def subscription(sandbox):
    return activate_by_webhook(sandbox)


def has_access(subscription) -> bool:
    return effective_payment_of(subscription.user_id, at=timezone.now()) is not None


def test_a_subscription_is_closed_while_a_lost_amount_is_in_doubt(subscription):
    deliver_dispute(last_payment(subscription), "opened", **IN_USD)
    assert has_access(subscription)

    deliver_dispute(last_payment(subscription), "lost", **IN_USD)
    assert not has_access(subscription)
    with pytest.raises(PaymentInDoubt):
        refund_invoice(last_invoice(subscription))


def test_a_subscription_in_doubt_is_not_ended_as_unpaid(subscription):
    refund_in_usd(last_payment(subscription))

    assert (has_access(subscription), list(find_unpaid(at=timezone.now()))) == (False, [])
    assert not expire_unpaid(subscription.pk, cause=BY_STAFF, at=timezone.now())


@pytest.mark.parametrize(("amount_minor", "status", "opens"), [(12_00, "expired", False), (6_00, "active", True)])
def test_a_subscription_follows_the_amount_entered(subscription, amount_minor, status, opens):
    convert(refund_in_usd(last_payment(subscription)), amount_minor)

    subscription.refresh_from_db()
    assert (subscription.status, has_access(subscription)) == (status, opens)
    assert is_subscription_proved(subscription)
