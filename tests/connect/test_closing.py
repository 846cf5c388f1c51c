"""What a closed seller is owed is sent, or needs review until it is; and so does what they owe."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from connect.closing import DEBT, OWED, money_of, review_closed_sellers
from connect.models import ConnectedAccount, SellerTransfer, WaitingFor
from connect.transfers.transfer_requests import send_due
from marketplace.restrictions import lift_restriction
from tests.connect.factories import make_seller, planned, to_reverse
from tests.restricting import by, clerk, closed, held, reopened, suspended
from veza.core.models import ReviewItem

pytestmark = pytest.mark.django_db


def item(kind: str) -> ReviewItem:
    return ReviewItem.objects.filter(kind=kind).latest("pk")


def waiting(seller: Any) -> SellerTransfer:
    return planned(seller, waiting_for=WaitingFor.ACCOUNT, next_retry_at=timezone.now() + timedelta(hours=1))


def test_what_can_be_sent_is_sent_after_the_closing(sandbox):
    transfer = planned()
    account = sandbox.create_account()
    ConnectedAccount.objects.filter(seller=transfer.seller).update(stripe_account_id=account)
    closed(transfer.seller)

    send_due()

    transfer.refresh_from_db()
    assert transfer.status == "completed"
    assert not ReviewItem.objects.exists()


def test_what_no_account_receives_needs_review_at_once():
    transfer = planned(make_seller(active=False), amount_minor=9_00)

    closed(transfer.seller)

    assert (item(OWED).subject_id, item(OWED).amount_minor, item(OWED).currency) == (transfer.seller_id, 9_00, "EUR")


@pytest.mark.parametrize("restrict", [held, suspended])
def test_what_a_restriction_keeps_from_a_closed_seller_needs_review(restrict):
    transfer = planned()
    restrict(transfer.seller)

    closed(transfer.seller)

    assert item(OWED).status == "open"


def test_the_item_closes_once_the_account_receives_money():
    transfer = planned(make_seller(active=False))
    closed(transfer.seller)
    ConnectedAccount.objects.filter(seller=transfer.seller).update(transfers_active=True)

    review_closed_sellers()

    assert item(OWED).status == "closed"


def test_the_item_stays_open_while_the_money_waits():
    transfer = planned(make_seller(active=False))
    closed(transfer.seller)

    review_closed_sellers()

    assert (ReviewItem.objects.count(), item(OWED).status) == (1, "open")


def test_money_that_becomes_due_after_the_closing_is_found():
    seller = make_seller(active=False)
    closed(seller)
    planned(seller)

    review_closed_sellers()

    assert item(OWED).status == "open"


def test_a_reopened_account_ends_the_items_about_it():
    transfer = planned(make_seller(active=False))
    reopened(closed(transfer.seller))

    review_closed_sellers()

    assert item(OWED).status == "closed"


def test_what_a_closed_seller_owes_needs_review_until_it_is_paid():
    transfer = to_reverse(amount_minor=9_00, waiting_for=WaitingFor.DEBT)
    closed(transfer.seller)
    assert (item(DEBT).status, item(DEBT).amount_minor) == ("open", 9_00)

    SellerTransfer.objects.filter(pk=transfer.pk).update(reversed_minor=9_00, status="reversed", waiting_for="")
    review_closed_sellers()

    assert item(DEBT).status == "closed"


def test_a_seller_whose_account_is_open_has_no_such_item():
    planned(make_seller(active=False))

    review_closed_sellers()

    assert not ReviewItem.objects.exists()


def test_what_is_unsent_is_the_share_less_what_was_withheld():
    transfer = planned(amount_minor=9_00, withheld_minor=2_00)

    assert money_of(transfer.seller_id).unsent == {"EUR": 7_00}


def release(restriction: Any) -> None:
    lift_restriction(restriction_id=restriction.pk, cause=by(clerk()), at=timezone.now())


def test_the_end_of_a_restriction_makes_what_waited_due_at_once():
    restriction = suspended(seller := make_seller())
    transfer = waiting(seller)

    release(restriction)

    transfer.refresh_from_db()
    assert transfer.next_retry_at <= timezone.now()


def test_what_waited_stays_put_while_another_restriction_is_in_force():
    seller = make_seller()
    restriction, _ = suspended(seller), held(seller)
    transfer = waiting(seller)

    release(restriction)

    transfer.refresh_from_db()
    assert transfer.next_retry_at > timezone.now()


def test_a_seller_reads_the_restriction_beside_their_account_at_stripe():
    restriction = held(seller := make_seller())
    api = APIClient()
    api.force_authenticate(seller)

    (shown,) = api.get("/api/v1/connect/account").json()["restrictions"]

    assert (shown["kind"], shown["reason"]) == ("hold", restriction.reason)
