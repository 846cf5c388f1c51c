"""What a closed seller has at Stripe needs review until finance has paid it out for them."""

import pytest

from connect.closed_balances import review_closed_balances
from connect.models import ConnectedAccount, SellerPayout
from tests.backoffice.conftest import browser, staff
from tests.connect.factories import make_seller
from tests.connect.stripe_double import accepts_payout, rejects_key, shows_balance, times_out
from tests.restricting import closed, reopened
from veza.core.ids import new_id
from veza.core.models import ReviewItem, User

pytestmark = pytest.mark.django_db


@pytest.fixture
def account() -> ConnectedAccount:
    """The account of a closed seller."""
    seller = closed(make_seller())
    ConnectedAccount.objects.update(payouts_enabled=True)
    return ConnectedAccount.objects.get(seller=seller)


def pay_out(account: ConnectedAccount, amount: str, member: User | None = None) -> str:
    address = f"/admin/connect/connectedaccount/{account.pk}/action/pay-out-for-seller/"
    version = {f"version_{account.pk}": account.stripe_account_id}
    form = {"amount": amount, "currency": "EUR", "reason": "They asked.", "confirm": "yes"}
    page = browser(member or staff("finance"))
    return page.post(address, {**form, **version, "submission_id": str(new_id())}, follow=True).content.decode()


def test_what_is_left_at_stripe_needs_review(stripe, account):
    stripe.will("read_balance", shows_balance(EUR=81_00))

    review_closed_balances()

    item = ReviewItem.objects.get()
    assert (item.kind, item.subject_id, item.amount_minor) == ("closed_seller_balance", account.pk, 81_00)


def test_an_empty_account_closes_the_item(stripe, account):
    stripe.will("read_balance", shows_balance(EUR=81_00), shows_balance(EUR=0))
    review_closed_balances()

    review_closed_balances()

    assert ReviewItem.objects.get().status == "closed"


@pytest.mark.parametrize("silence", [times_out, rejects_key])
def test_without_an_answer_the_item_stays(stripe, account, silence):
    stripe.will("read_balance", shows_balance(EUR=81_00), silence())
    review_closed_balances()

    review_closed_balances()

    assert ReviewItem.objects.get().status == "open"


def test_a_reopened_account_closes_the_item_without_a_call(stripe, account):
    stripe.will("read_balance", shows_balance(EUR=81_00))
    review_closed_balances()
    reopened(account.seller)

    review_closed_balances()

    assert ReviewItem.objects.get().status == "closed"


def test_the_balance_of_an_open_account_is_the_sellers_own_matter(stripe):
    make_seller()

    review_closed_balances()

    assert not ReviewItem.objects.exists()


def test_finance_pays_out_for_a_closed_seller(stripe, account):
    stripe.will("read_balance", shows_balance(EUR=81_00), shows_balance(EUR=0))
    stripe.will("create_payout", accepts_payout("po_1"))

    text = pay_out(account, "81.00")

    payout = SellerPayout.objects.get()
    assert (payout.seller, payout.amount_minor, payout.external_payout_id) == (account.seller, 81_00, "po_1")
    assert "The payout of 81.00 EUR is" in text


@pytest.mark.parametrize("amount", ["0", "-1", "1.001", "much"])
def test_an_amount_that_is_none_pays_nothing_out(stripe, account, amount):
    pay_out(account, amount)

    assert not SellerPayout.objects.exists()


def test_never_more_than_the_account_has(stripe, account):
    stripe.will("read_balance", shows_balance(EUR=5_00), shows_balance(EUR=5_00))

    assert "Only 5.00 EUR can be paid out now." in pay_out(account, "81.00")


def test_an_open_account_offers_no_payout_by_staff(stripe):
    account = ConnectedAccount.objects.get(seller=make_seller())

    pay_out(account, "5.00")

    assert not SellerPayout.objects.exists()
