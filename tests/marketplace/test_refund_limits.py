"""How much a refund may take: buyers give back whole items, sellers show goodwill, and ten refunds have owners."""

import pytest

from marketplace.models import License, Order
from marketplace.refund_limits import (
    BuyerRefundsWholeItems,
    GoodwillLimitReached,
    RefundsReserved,
    SellerRefundLimitReached,
)
from marketplace.refunds import NothingRequested
from payments.models import Refund
from payments.refunds.refund_requests import RefundAlreadyRequested, RefundExceedsPayment, RefundLimitReached
from tests.buying import (
    ago,
    ask_refund,
    deliver,
    deliver_refund,
    envelope,
    order_of,
    paid,
    payment_of,
    refund_of,
    support,
)
from tests.factories import OfferFactory, ProductFactory, SellerFactory
from veza.backoffice.proof import prove_payment
from veza.core.models import User

pytestmark = pytest.mark.django_db


def bought(sandbox, *prices_minor: int, seller: User | None = None, kind: str = "personal") -> Order:
    """A paid order of an item for each price, tax of 20 % on top; of as many sellers, or of one."""
    owners = [{"seller": seller} if seller else {} for _ in prices_minor]
    offers = [
        OfferFactory(price_minor=price, license=kind, product=ProductFactory(**owner))
        for price, owner in zip(prices_minor, owners, strict=True)
    ]
    order = paid(order_of(*offers))
    sandbox.pay(payment_of(order).provider_key)
    return order


def succeed(refund: Refund) -> Refund:
    assert deliver_refund(refund).status_code == 200
    return Refund.objects.get(pk=refund.pk)


def refund_at_dashboard(order: Order, number: int) -> None:
    payload = {"refund_id": f"ref_there_{number}", "payment_id": payment_of(order).provider_key}
    deliver(envelope("refund_succeeded", {**payload, "status": "succeeded", "amount": 1, "currency": "EUR"}))


# Buyers


@pytest.mark.parametrize("amount_minor", [1, 539_99, 540_00])
def test_a_buyer_names_no_amount(sandbox, amount_minor):
    order = bought(sandbox, 450_00, kind="exclusive")

    with pytest.raises(BuyerRefundsWholeItems):
        ask_refund(order, requested_by=order.buyer, amount_minor=amount_minor)

    assert not Refund.objects.exists()


def test_a_buyer_names_no_amount_over_three_sellers(sandbox):
    order = bought(sandbox, 150_00, 150_00, 150_00)
    items = [item.pk for item in order.items.all()]

    with pytest.raises(BuyerRefundsWholeItems):
        ask_refund(order, requested_by=order.buyer, item_ids=items, amount_minor=539_99)


def test_a_buyers_refund_is_what_is_left_and_takes_the_licence(sandbox):
    order = bought(sandbox, 10_00)
    succeed(refund_of(order, requested_by=order.items.get().seller, amount_minor=2_00))

    refund = succeed(refund_of(order))

    assert refund.amount_minor == 10_00
    assert License.objects.get().status == "revoked"


def test_an_empty_selection_never_means_everything(sandbox):
    order = bought(sandbox, 10_00)

    with pytest.raises(NothingRequested):
        refund_of(order, item_ids=[])


# Sellers' goodwill


def test_goodwill_of_half_the_price_keeps_the_licence(sandbox):
    order = bought(sandbox, 10_00)

    refund = succeed(refund_of(order, requested_by=order.items.get().seller, amount_minor=6_00))

    assert (refund.source, refund.by_amount) == ("seller", True)
    assert License.objects.get().status == "active"


def test_goodwill_ends_at_half_the_price_of_the_item(sandbox):
    order = bought(sandbox, 10_00)

    with pytest.raises(GoodwillLimitReached, match=r"another 6\.00 EUR .* 50 % of its price"):
        refund_of(order, requested_by=order.items.get().seller, amount_minor=6_01)


def test_several_goodwill_refunds_add_up(sandbox):
    order = bought(sandbox, 10_00)
    seller = order.items.get().seller
    succeed(refund_of(order, requested_by=seller, amount_minor=4_00))

    with pytest.raises(GoodwillLimitReached, match=r"another 2\.00 EUR"):
        refund_of(order, requested_by=seller, amount_minor=2_01)


def test_goodwill_after_a_refund_by_support_counts_that_too(sandbox):
    order = bought(sandbox, 10_00)
    succeed(refund_of(order, amount_minor=5_99))

    with pytest.raises(GoodwillLimitReached, match=r"another 0\.01 EUR"):
        refund_of(order, requested_by=order.items.get().seller, amount_minor=2)


def test_an_amount_over_two_items_is_judged_item_by_item(sandbox):
    seller = SellerFactory()
    order = bought(sandbox, 10_00, 10_00, seller=seller)
    first = order.items.first()
    succeed(refund_of(order, requested_by=seller, item_ids=[first.pk], amount_minor=6_00))

    with pytest.raises(GoodwillLimitReached):
        refund_of(order, requested_by=seller, amount_minor=6_00)


def test_all_that_is_left_is_a_refund_of_the_item_and_takes_the_licence(sandbox):
    order = bought(sandbox, 10_00)
    seller = order.items.get().seller
    succeed(refund_of(order, requested_by=seller, amount_minor=6_00))

    refund = succeed(refund_of(order, requested_by=seller, amount_minor=6_00))

    assert refund.by_amount is False
    assert License.objects.get().status == "revoked"


def test_staff_decide_freely(sandbox):
    order = bought(sandbox, 10_00)

    succeed(refund_of(order, amount_minor=11_99))

    assert License.objects.get().status == "active"


@pytest.mark.parametrize(("basis_points", "most_minor"), [(0, 0), (2_500, 3_00), (10_000, 11_99)])
def test_the_limit_of_goodwill_is_a_setting(sandbox, settings, basis_points, most_minor):
    settings.SELLER_GOODWILL_MAX_BASIS_POINTS = basis_points
    order = bought(sandbox, 10_00)
    seller = order.items.get().seller

    if most_minor < 11_99:
        with pytest.raises(GoodwillLimitReached):
            refund_of(order, requested_by=seller, amount_minor=most_minor + 1)
    if most_minor:
        assert refund_of(order, requested_by=seller, amount_minor=most_minor).status == "pending"


# Several at once


def test_another_sellers_item_is_refunded_while_one_is_pending(sandbox):
    order = bought(sandbox, 10_00, 5_00)
    first, second = order.items.order_by("net_minor")
    refund_of(order, requested_by=first.seller)

    refund = refund_of(order, item_ids=[second.pk])

    order.refresh_from_db()
    assert (refund.amount_minor, order.status) == (12_00, "refund_pending")


def test_the_rest_of_an_order_is_what_no_pending_refund_promises(sandbox):
    order = bought(sandbox, 10_00, 5_00)
    refund_of(order, requested_by=order.items.get(net_minor=10_00).seller, amount_minor=4_00)

    refund = refund_of(order)

    assert refund.amount_minor == 18_00 - 4_00


def test_two_pending_refunds_are_booked_in_any_order_and_empty_the_order(sandbox):
    order = bought(sandbox, 10_00, 5_00)
    first, second = (refund_of(order, item_ids=[item.pk]) for item in order.items.all())

    succeed(second)
    order.refresh_from_db()
    between = order.status
    succeed(first)

    order.refresh_from_db()
    assert (between, order.status) == ("refund_pending", "refunded")
    assert prove_payment(payment_of(order)).is_balanced


def test_a_failed_refund_beside_a_pending_one_leaves_the_order_waiting(sandbox):
    order = bought(sandbox, 10_00, 5_00)
    first, _ = (refund_of(order, item_ids=[item.pk]) for item in order.items.all())

    deliver_refund(first, status="failed")

    order.refresh_from_db()
    assert order.status == "refund_pending"
    assert refund_of(order).amount_minor == first.amount_minor


def test_a_second_amount_of_the_same_item_waits_for_the_first(sandbox):
    order = bought(sandbox, 10_00)
    refund_of(order, amount_minor=2_00)

    with pytest.raises(RefundAlreadyRequested, match="in progress"):
        refund_of(order, amount_minor=2_00)


def test_a_refund_under_review_blocks_no_other_amount(sandbox):
    order = bought(sandbox, 10_00)
    Refund.objects.filter(pk=refund_of(order, amount_minor=2_00).pk).update(created_at=ago(days=5))

    assert refund_of(order, amount_minor=3_00).status == "pending"


def test_no_two_refunds_promise_more_than_there_is(sandbox):
    order = bought(sandbox, 10_00)
    refund_of(order, amount_minor=2_00)

    with pytest.raises(RefundExceedsPayment, match=r"Only 10\.00 EUR"):
        refund_of(order, amount_minor=10_01)


# The provider's ten refunds


def test_a_seller_refunds_three_amounts_of_an_order(sandbox):
    order = bought(sandbox, 10_00)
    seller = order.items.get().seller
    for _ in range(3):
        succeed(refund_of(order, requested_by=seller, amount_minor=1))

    with pytest.raises(SellerRefundLimitReached, match="3 amounts"):
        refund_of(order, requested_by=seller, amount_minor=1)

    assert refund_of(order, requested_by=seller).amount_minor == 11_97


def test_the_number_of_a_sellers_amounts_is_a_setting(sandbox, settings):
    settings.SELLER_REFUNDS_PER_PAYMENT = 0
    order = bought(sandbox, 10_00)

    for _ in range(4):
        succeed(refund_of(order, requested_by=order.items.get().seller, amount_minor=1))


def test_one_seller_leaves_refunds_to_the_buyer_and_the_other_sellers(sandbox, settings):
    settings.SELLER_REFUNDS_PER_PAYMENT = 0
    order = bought(sandbox, 10_00, 10_00, 10_00)
    greedy, second, third = order.items.all()
    for _ in range(5):
        succeed(refund_of(order, requested_by=greedy.seller, amount_minor=1))

    with pytest.raises(RefundsReserved):
        refund_of(order, requested_by=greedy.seller, amount_minor=1)

    succeed(refund_of(order, requested_by=second.seller))
    succeed(refund_of(order, requested_by=third.seller))
    succeed(refund_of(order))
    order.refresh_from_db()
    assert order.status == "refunded"


def test_giving_back_items_one_by_one_leaves_refunds_to_others_too(sandbox):
    seller, other = SellerFactory(), OfferFactory()
    own = [OfferFactory(price_minor=1_00, product=ProductFactory(seller=seller)) for _ in range(9)]
    order = paid(order_of(*own, other))
    sandbox.pay(payment_of(order).provider_key)
    items = list(order.items.filter(seller=seller))
    for item in items[:6]:
        succeed(refund_of(order, requested_by=seller, item_ids=[item.pk]))

    with pytest.raises(RefundsReserved):
        refund_of(order, requested_by=seller, item_ids=[items[6].pk])

    assert refund_of(order, requested_by=seller).status == "pending"
    assert refund_of(order, requested_by=other.product.seller).status == "pending"


def test_the_last_two_refunds_are_for_what_empties_the_order(sandbox):
    order = bought(sandbox, 10_00, 5_00)
    for number in range(8):
        refund_at_dashboard(order, number)

    with pytest.raises(RefundsReserved):
        refund_of(order, item_ids=[order.items.first().pk])

    assert refund_of(order).status == "pending"


def test_the_last_two_refunds_are_for_staff_too(sandbox):
    order = bought(sandbox, 10_00)
    for number in range(8):
        refund_at_dashboard(order, number)
    for _ in range(2):
        succeed(refund_of(order, amount_minor=1))

    with pytest.raises(RefundLimitReached, match="10 times"):
        refund_of(order, requested_by=support())


def test_attempts_that_hyperswitch_never_stored_do_not_count(sandbox):
    order = bought(sandbox, 10_00)
    sandbox.control(f"payments/{payment_of(order).provider_key}", status="cancelled", silent=True)
    for _ in range(11):
        refund_of(order)
    assert set(Refund.objects.values_list("status", "error_code")) == {("failed", "IR_14")}

    sandbox.control(f"payments/{payment_of(order).provider_key}", status="succeeded", silent=True)

    assert refund_of(order, item_ids=[order.items.get().pk]).status == "pending"


def test_a_refund_that_failed_at_the_bank_counts(sandbox):
    order = bought(sandbox, 10_00)
    for _ in range(10):
        refund = refund_of(order)
        sandbox.control(f"refunds/{refund.provider_key}", status="failed", silent=True)
        deliver_refund(refund, status="failed")

    with pytest.raises(RefundLimitReached):
        refund_of(order)


def test_a_refusal_by_the_connector_counts(sandbox):
    order = bought(sandbox, 10_00)
    deliver_refund(refund_of(order), status="failed")
    Refund.objects.update(hyperswitch_refund_id=None, error_code="CE_06")

    assert Refund.objects.counted_by_hyperswitch().count() == 1
