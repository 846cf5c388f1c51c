"""Set-offs and everything that may happen to the same rows at the same moment, with real connections."""

import pytest
from django.db.models import F, Sum

from connect.models import SellerTransfer, SetOff
from connect.reversals.reversal_requests import process_due, reverse_transfer
from connect.transfers.transfer_requests import send_due, send_transfer
from marketplace.allocation import seller_shares
from tests.connect.builders import movements
from tests.connect.factories import BY_TEST, make_due, planned, refund
from tests.crowd import together

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def account(seller):
    return seller.connected_account.stripe_account_id


def in_debt(sandbox, seller, account, *amounts):
    """Transfers that were sent, paid out, and refunded: the balance is too low to reverse them."""
    rows = [planned(seller, amount_minor=amount) for amount in amounts]
    send_due()
    sandbox.control("balances", account=account, amount_minor=0)
    for row in rows:
        refund(row.order, seller, row.amount_minor)
    process_due()
    assert set(SellerTransfer.objects.values_list("waiting_for", flat=True)) == {"debt"}
    return rows


def net(sandbox):
    """What Stripe has sent and not reversed."""
    return sum(movements(sandbox, "transfer")) - sum(movements(sandbox, "reversal"))


def heal(sandbox, account):
    sandbox.control("balances", account=account, amount_minor=1_000_00)
    for _ in range(3):
        for row in SellerTransfer.objects.filter(next_retry_at__isnull=False):
            make_due(row.pk)
        send_due()
        process_due()


def share_of(seller):
    return sum(
        seller_shares(order_id)[seller.pk] for order_id in SellerTransfer.objects.values_list("order", flat=True)
    )


def test_several_transfers_claimed_at_once_pay_one_debt_once(sandbox, seller, account):
    (debt,) = in_debt(sandbox, seller, account, 9_00)
    rows = [planned(seller, amount_minor=4_00) for _ in range(4)]

    together(*[lambda pk=row.pk: send_transfer(pk, cause=BY_TEST) for row in rows])

    assert SetOff.objects.aggregate(sum=Sum("amount_minor"))["sum"] == 9_00
    assert SellerTransfer.objects.get(pk=debt.pk).offset_minor == 9_00
    assert net(sandbox) == 9_00 + 16_00 - 9_00


def test_a_debt_is_either_offset_or_reversed_and_never_both(sandbox, seller, account):
    debts = in_debt(sandbox, seller, account, *[1_00] * 6)
    sandbox.control("balances", account=account, amount_minor=1_000_00)
    rows = [planned(seller, amount_minor=2_00) for _ in range(6)]

    together(
        *[lambda pk=debt.pk: reverse_transfer(pk, cause=BY_TEST) for debt in debts[:3]],
        *[lambda pk=row.pk: send_transfer(pk, cause=BY_TEST) for row in rows[:3]],
    )
    heal(sandbox, account)

    assert net(sandbox) == share_of(seller) == 12_00
    back = SellerTransfer.objects.filter(pk__in=[debt.pk for debt in debts])
    assert set(back.values_list(F("offset_minor") + F("reversed_minor"), flat=True)) == {1_00}


def test_a_refund_that_races_a_set_off_ends_with_the_sellers_share(sandbox, seller, account):
    in_debt(sandbox, seller, account, 2_00, 2_00, 2_00)
    rows = [planned(seller, amount_minor=3_00) for _ in range(6)]

    together(
        *[lambda pk=row.pk: send_transfer(pk, cause=BY_TEST) for row in rows],
        *[lambda row=row: refund(row.order, seller, 2_50) for row in rows[:3]],
    )
    heal(sandbox, account)

    assert net(sandbox) == share_of(seller)
    assert set(SellerTransfer.objects.values_list("status", flat=True)) <= {"completed", "reversed", "cancelled"}


def test_refunds_of_orders_that_paid_the_same_debt_do_not_block_each_other(sandbox, seller, account):
    in_debt(sandbox, seller, account, 4_00, 4_00)
    rows = [planned(seller, amount_minor=2_00) for _ in range(4)]
    send_due()

    together(*[lambda row=row: refund(row.order, seller, 2_00) for row in rows])
    heal(sandbox, account)

    assert net(sandbox) == share_of(seller) == 0
