"""Money matures before it leaves: shares of young sales, and whatever is asked back, stay in the seller's account."""

from datetime import timedelta

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from connect.funds import PayoutExceedsBalance, PayoutNotMature
from connect.maturity import payout_after_of, reserves_of, set_payout_after
from connect.models import ConnectedAccount, SellerPayout, SellerTransfer
from connect.payouts import advance_due, request_payout, send_payout
from marketplace.models import Order, RefundApplication
from payments.ledger.chart_of_accounts import seller_account
from payments.models import Dispute, Payment, Refund
from tests.connect.builders import send
from tests.connect.factories import BY_TEST, long_ago, make_seller, planned, refund
from tests.connect.stripe_double import accepts_payout, accepts_transfer, shows_balance, times_out
from veza.core.causes import Cause
from veza.core.ids import new_id

pytestmark = pytest.mark.django_db
BY_FINANCE = Cause("staff", actor="finance@staff.example", reason="Many of their sales are refunded.")
DAY = timedelta(days=1)


@pytest.fixture
def sale(stripe, seller):
    """A sale of the given age, of which Stripe has the transfer."""

    def make(amount_minor=9_00, *, days=0.0):
        transfer = planned(seller, amount_minor=amount_minor)
        grow_older(transfer.order, days)
        stripe.will("create_transfer", accepts_transfer())
        return send(transfer)

    return make


def grow_older(order, days):
    age = timedelta(days=days)
    Order.objects.filter(pk=order.pk).update(completed_at=order.completed_at - age)
    SellerTransfer.objects.filter(order=order).update(created_at=timezone.now() - age)


def ask(seller, amount_minor, **fields):
    return request_payout(
        payout_id=new_id(), seller_id=seller.pk, amount_minor=amount_minor, currency="EUR", cause=BY_TEST, **fields
    )


def limit(stripe, seller, balance_minor):
    """The most that may be paid out while Stripe shows this balance."""
    return balance_of(stripe, seller, balance_minor)["available_minor"]


def balance_of(stripe, seller, balance_minor=9_00):
    stripe.will("read_balance", shows_balance(EUR=balance_minor))
    api = APIClient()
    api.force_authenticate(seller)
    (body,) = api.get("/api/v1/connect/balance").json()
    return body


# --- Young sales


@pytest.mark.parametrize(("days", "available"), [(0, 0), (13.99, 0), (14.01, 9_00), (400, 9_00)])
def test_a_share_may_be_paid_out_when_its_sale_is_old_enough(stripe, seller, sale, days, available):
    sale(9_00, days=days)

    assert limit(stripe, seller, 9_00) == available


def test_a_payout_of_a_young_sale_is_refused_with_the_time(stripe, seller, sale):
    sale(10_00, days=20)
    matures_at = Order.objects.get(pk=sale(90_00, days=4).order_id).completed_at + 14 * DAY
    stripe.will("read_balance", shows_balance(EUR=100_00))

    with pytest.raises(PayoutNotMature) as refusal:
        ask(seller, 100_00)

    assert refusal.value.text.startswith("Only 10.00 EUR can be paid out now. 90.00 EUR of newer sales is maturing")
    assert f"100.00 EUR can be paid out from {matures_at.day} " in refusal.value.text
    assert not SellerPayout.objects.exists()


def test_a_request_above_everything_names_the_next_part(stripe, seller, sale):
    sale(10_00, days=4)
    stripe.will("read_balance", shows_balance(EUR=10_00))

    with pytest.raises(PayoutNotMature, match=r"the next 10.00 EUR can be paid out from"):
        ask(seller, 500_00)


def test_the_mature_part_is_paid_out_beside_a_young_sale(stripe, seller, sale):
    sale(10_00, days=20)
    sale(90_00)
    stripe.will("read_balance", shows_balance(EUR=100_00))
    stripe.will("create_payout", accepts_payout())

    assert ask(seller, 10_00).external_payout_id == "po_1"


def test_the_balance_shows_what_matures_on_which_day(stripe, seller, sale):
    first, second = sale(10_00, days=3), sale(20_00, days=1)

    body = balance_of(stripe, seller, 30_00)

    assert (body["available_minor"], body["maturing_minor"], body["held_minor"]) == (0, 30_00, 0)
    assert [day["amount_minor"] for day in body["maturing"]] == [10_00, 20_00]
    assert body["matures_at"] == body["maturing"][0]["matures_at"] < body["maturing"][1]["matures_at"]
    assert first.order_id != second.order_id


def test_what_was_not_sent_yet_is_maturing_but_not_kept(stripe, seller):
    planned(seller, amount_minor=9_00)

    body = balance_of(stripe, seller, 5_00)

    assert (body["maturing_minor"], body["unsent_minor"], body["available_minor"]) == (9_00, 9_00, 5_00)


def test_money_of_young_sales_that_left_before_is_kept_from_old_ones(stripe, seller, sale):
    sale(90_00)
    sale(50_00, days=30)

    assert limit(stripe, seller, 50_00) == 0


def test_each_currency_matures_by_itself(stripe, seller, sale):
    sale(9_00)
    stripe.will("read_balance", shows_balance(EUR=9_00, USD=4_00))
    stripe.will("create_payout", accepts_payout())

    payout = request_payout(payout_id=new_id(), seller_id=seller.pk, amount_minor=4_00, currency="USD", cause=BY_TEST)

    assert payout.external_payout_id == "po_1"


def test_sales_of_others_keep_nothing(stripe, seller):
    stranger = planned(amount_minor=9_00)
    stripe.will("create_transfer", accepts_transfer())
    send(stranger)

    assert reserves_of(seller.pk, at=timezone.now()) == {}


def test_a_cancelled_transfer_is_not_maturing(seller):
    transfer = planned(seller)
    refund(transfer.order, seller, 9_00)

    assert reserves_of(seller.pk, at=timezone.now()) == {}


def test_a_transfer_in_doubt_is_kept_as_if_it_were_there(stripe, seller):
    transfer = planned(seller, amount_minor=9_00)
    stripe.will("create_transfer", times_out())
    send(transfer)

    assert reserves_of(seller.pk, at=timezone.now())["EUR"].kept_minor == 9_00


# --- The setting, and a seller's own terms


def test_off_pays_out_at_once(stripe, seller, sale, settings):
    settings.PAYOUT_AFTER = timedelta(0)
    sale(9_00)

    assert limit(stripe, seller, 9_00) == 9_00


@pytest.mark.parametrize(("own", "days", "available"), [(30, 20, 0), (30, 31, 9_00), (1, 2, 9_00), (0, 0, 9_00)])
def test_finance_sets_another_age_for_one_seller(stripe, seller, sale, own, days, available):
    sale(9_00, days=days)

    set_payout_after(seller_id=seller.pk, payout_after=own * DAY, cause=BY_FINANCE)

    assert limit(stripe, seller, 9_00) == available


def test_a_sellers_own_age_is_theirs_alone_and_ends(seller, settings):
    set_payout_after(seller_id=seller.pk, payout_after=30 * DAY, cause=BY_FINANCE)
    before = payout_after_of(seller.pk), payout_after_of(make_seller().pk)

    set_payout_after(seller_id=seller.pk, payout_after=None, cause=BY_FINANCE)

    assert (*before, payout_after_of(seller.pk)) == (30 * DAY, settings.PAYOUT_AFTER, settings.PAYOUT_AFTER)


# --- What is asked back


def dispute_of(order, seller, amount_minor, location="suspense"):
    return Dispute.objects.create(
        payment=Payment.objects.get(purpose_id=order.pk),
        correlation_id=order.pk,
        hyperswitch_dispute_id=f"dp_{new_id().hex}",
        status="opened",
        stage="dispute",
        amount_minor=amount_minor,
        currency="EUR",
        allocation={seller_account(seller.pk): amount_minor},
        allocation_currency="EUR",
        funds_location=location,
    )


def pending_refund_of(order, seller, amount_minor, **fields):
    usual = {"currency": "EUR", "source": "support", "status": "pending", "amount_minor": amount_minor}
    return Refund.objects.create(
        payment=Payment.objects.get(purpose_id=order.pk),
        correlation_id=order.pk,
        allocation={seller_account(seller.pk): amount_minor},
        **{**usual, **fields},
    )


def undecided_refund_of(order, seller, amount_minor):
    """A request for all that is left of the seller's item, about which support has yet to decide."""
    item = order.items.get(seller=seller)
    if refunded_minor := item.seller_minor - amount_minor:
        refund(order, seller, refunded_minor)
        SellerTransfer.objects.update(reversed_minor=refunded_minor, status="completed")
    fields = {"amount_minor": amount_minor, "currency": "EUR", "why": "limit", "reason": "It does not open."}
    application = RefundApplication.objects.create(order=order, **fields)
    return application.lines.create(item=item, amount_minor=amount_minor)


@pytest.mark.parametrize("ask_back", [dispute_of, pending_refund_of])
@pytest.mark.parametrize(("amount", "available"), [(2_00, 7_00), (9_00, 0)])
def test_what_is_asked_back_of_an_old_sale_is_held(stripe, seller, sale, ask_back, amount, available):
    ask_back(sale(9_00, days=30).order, seller, amount)

    body = balance_of(stripe, seller)

    assert (body["available_minor"], body["held_minor"], body["maturing_minor"]) == (available, amount, 0)


def test_the_share_of_an_undecided_request_waits_for_the_decision(stripe, seller, sale):
    order = sale(9_00, days=30).order
    sale(5_00, days=30)
    undecided_refund_of(order, seller, 9_00)
    waiting = balance_of(stripe, seller, 14_00)

    RefundApplication.objects.update(status="declined", decision_reason="It was printed.")

    assert (waiting["available_minor"], waiting["held_minor"], limit(stripe, seller, 14_00)) == (5_00, 9_00, 14_00)


def test_of_a_request_only_what_is_left_of_its_items_is_held(stripe, seller, sale):
    undecided_refund_of(sale(9_00, days=30).order, seller, 6_00)

    assert balance_of(stripe, seller, 8_00)["held_minor"] == 6_00


def test_a_request_and_a_pending_refund_of_one_item_hold_it_once(stripe, seller, sale):
    order = sale(9_00, days=30).order
    undecided_refund_of(order, seller, 9_00)
    part = pending_refund_of(order, seller, 2_00)
    part.lines.create(item=order.items.get(), tax_minor=0, fee_minor=0, seller_minor=2_00)

    assert balance_of(stripe, seller, 20_00)["held_minor"] == 9_00


def test_a_refund_and_a_dispute_of_one_share_hold_it_once(stripe, seller, sale):
    order = sale(9_00, days=30).order
    dispute_of(order, seller, 6_00)
    pending_refund_of(order, seller, 6_00)

    assert limit(stripe, seller, 12_00) == 3_00


def test_what_is_asked_back_of_a_young_sale_is_not_kept_twice(stripe, seller, sale):
    dispute_of(sale(9_00).order, seller, 4_00)

    body = balance_of(stripe, seller, 12_00)

    assert (body["available_minor"], body["held_minor"], body["maturing_minor"]) == (3_00, 4_00, 5_00)


def test_a_dispute_of_unknown_amount_holds_the_whole_share(stripe, seller, sale):
    order = sale(9_00, days=30).order
    Payment.objects.filter(purpose_id=order.pk).update(received_currency="EUR")
    dispute = dispute_of(order, seller, 1_00)
    Dispute.objects.filter(pk=dispute.pk).update(currency="USD", allocation={}, allocation_currency="")

    assert limit(stripe, seller, 9_00) == 0


def test_a_lost_dispute_holds_only_what_is_to_be_reversed(stripe, seller, sale):
    dispute_of(sale(9_00, days=30).order, seller, 4_00, location="bank")

    assert limit(stripe, seller, 9_00) == 9_00


@pytest.mark.parametrize(("days", "maturing"), [(30, 0), (1, 5_00)])
def test_what_is_to_be_reversed_is_held(stripe, seller, sale, days, maturing):
    transfer = sale(9_00, days=days)
    refund(transfer.order, seller, 4_00)

    body = balance_of(stripe, seller)

    assert (body["available_minor"], body["held_minor"], body["maturing_minor"]) == (5_00 - maturing, 4_00, maturing)


# --- Payouts that the balance need not show yet


def test_a_payout_without_an_answer_counts_as_gone(stripe, seller, sale):
    sale(9_00, days=30)
    stripe.will("read_balance", shows_balance(EUR=9_00), shows_balance(EUR=9_00))
    stripe.will("create_payout", times_out())
    ask(seller, 6_00)

    with pytest.raises(PayoutExceedsBalance, match=r"Only 3.00 EUR"):
        ask(seller, 3_01)


def test_a_payout_that_stripe_refused_is_not_gone(stripe, seller, sale):
    sale(9_00, days=30)
    SellerPayout.objects.create(
        seller=seller, stripe_account_id="acct_1", amount_minor=6_00, currency="EUR", status="failed"
    )

    assert limit(stripe, seller, 9_00) == 9_00


def test_a_payout_answered_while_the_balance_was_read_counts_as_gone(stripe, seller, sale):
    sale(9_00, days=30)

    def answered_meanwhile(params):
        fields = {"external_payout_id": "po_1", "acknowledged_at": timezone.now(), "status": "in_transit"}
        SellerPayout.objects.create(
            seller=seller, stripe_account_id="acct_1", amount_minor=6_00, currency="EUR", **fields
        )
        return shows_balance(EUR=9_00)

    stripe.will("read_balance", answered_meanwhile)

    with pytest.raises(PayoutExceedsBalance, match=r"Only 3.00 EUR"):
        ask(seller, 9_00)


def test_a_payout_answered_before_is_in_the_balance(stripe, seller, sale):
    sale(9_00, days=30)
    stripe.will("read_balance", shows_balance(EUR=9_00))
    stripe.will("create_payout", accepts_payout())
    ask(seller, 6_00)
    SellerPayout.objects.update(acknowledged_at=timezone.now() - timedelta(seconds=1))

    assert limit(stripe, seller, 3_00) == 3_00


def test_a_webhook_before_the_answer_acknowledges_a_payout(stripe, seller, sale):
    stripe.will("read_balance", shows_balance(EUR=9_00))
    stripe.will("create_payout", accepts_payout())

    payout = ask(seller, 6_00)

    assert payout.acknowledged_at is not None


# --- Checked once more before it is sent


def test_a_payout_that_was_never_sent_is_checked_again(stripe, seller, sale):
    transfer = sale(9_00, days=30)
    payout = waiting_payout(stripe, seller, 9_00)
    refund(transfer.order, seller, 4_00)
    stripe.will("read_balance", shows_balance(EUR=9_00))

    advance_due()

    payout.refresh_from_db()
    assert (payout.status, payout.failure_code, "create_payout" in stripe.names()) == (
        "failed",
        "payout_exceeds_balance",
        False,
    )


def test_a_payout_that_was_never_sent_waits_for_the_balance(stripe, seller, sale):
    sale(9_00, days=30)
    payout = waiting_payout(stripe, seller, 9_00)
    stripe.will("read_balance", times_out())

    advance_due()

    payout.refresh_from_db()
    assert (payout.status, payout.in_doubt, payout.next_attempt_at is None) == ("pending", False, False)


def test_a_payout_that_may_be_at_stripe_is_repeated_unchecked(stripe, seller, sale):
    transfer = sale(9_00, days=30)
    payout = waiting_payout(stripe, seller, 9_00, in_doubt=True, first_sent_at=timezone.now())
    refund(transfer.order, seller, 9_00)
    stripe.will("create_payout", accepts_payout("po_2"))

    assert send_payout(payout.pk, cause=BY_TEST) is not None
    payout.refresh_from_db()
    assert payout.external_payout_id == "po_2"


def test_a_payout_of_an_account_that_cannot_pay_out_any_more_fails(stripe, seller, sale):
    sale(9_00, days=30)
    payout = waiting_payout(stripe, seller, 9_00)
    ConnectedAccount.objects.update(payouts_enabled=False)

    send_payout(payout.pk, cause=BY_TEST)

    payout.refresh_from_db()
    assert (payout.status, payout.failure_code) == ("failed", "payouts_not_enabled")


def waiting_payout(stripe, seller, amount_minor, **fields):
    """A payout that was opened and not sent."""
    usual = {"stripe_account_id": seller.connected_account.stripe_account_id, "next_attempt_at": long_ago()}
    return SellerPayout.objects.create(seller=seller, amount_minor=amount_minor, currency="EUR", **{**usual, **fields})


def test_a_balance_that_stripe_does_not_tell_is_shown_as_unknown(stripe, seller, sale):
    sale(9_00)
    stripe.will("read_balance", times_out())
    api = APIClient()
    api.force_authenticate(seller)

    (body,) = api.get("/api/v1/connect/balance").json()

    assert (body["available_minor"], body["maturing_minor"]) == (None, 9_00)
