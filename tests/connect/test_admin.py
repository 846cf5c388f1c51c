"""The admin pages of sellers' money: searchable, and never editable."""

from datetime import timedelta

import pytest
from django.db import DatabaseError
from django.urls import reverse

from connect.admin_actions import PayoutAfterForm
from connect.maturity import set_payout_after
from connect.models import PayoutTerms
from tests.connect.factories import planned, to_reverse
from veza.core.causes import Cause
from veza.core.ids import new_id
from veza.core.models import User

pytestmark = pytest.mark.django_db


@pytest.fixture
def support(client):
    client.force_login(User.objects.create_superuser("support@example.com", "a-long-password"))
    return client


@pytest.mark.parametrize("model", ["sellertransfer", "connectedaccount"])
def test_the_lists_can_be_searched(support, model):
    to_reverse()

    page = support.get(reverse(f"admin:connect_{model}_changelist"), {"q": "person"})

    assert page.status_code == 200


def test_a_transfers_page_shows_its_history_and_offers_no_edit(support):
    transfer = to_reverse()

    page = support.get(reverse("admin:connect_sellertransfer_change", args=[transfer.pk]))

    assert f"A transfer of 9.00 EUR to {transfer.seller.email} was planned." in page.content.decode()
    assert 'name="_save"' not in page.content.decode()


def page_of(support, account):
    return support.get(reverse("admin:connect_connectedaccount_change", args=[account.pk])).content.decode()


def payout_after(support, seller, **answers):
    """What the page of the action answers to these answers, or the account's page after it was performed."""
    account = seller.connected_account
    address = reverse("admin:connect_connectedaccount_action", args=[account.pk, "set-payout-after"])
    version = str(PayoutTerms.objects.filter(seller=seller).values_list("pk", flat=True).last())
    usual = {"reason": "Three years of sales.", "submission_id": str(new_id()), f"version_{account.pk}": version}
    return support.post(address, {**usual, **answers}, follow=True).content.decode()


def test_a_sellers_page_shows_what_is_available_maturing_and_held(support, seller):
    planned(seller, amount_minor=9_00)

    page = page_of(support, seller.connected_account)

    assert all(f">{name}<" in page for name in ("available", "maturing", "held"))
    assert "9.00 EUR, from " in page


def test_the_preview_says_what_will_be_maturing(support, seller):
    planned(seller, amount_minor=9_00)

    page = payout_after(support, seller, payout_after="0s")

    assert f"Now a sale of {seller.email} has to be 14 days old. 9.00 EUR of theirs matures later." in page
    assert "From now on it has to be 0 days old. Nothing of theirs matures later." in page
    assert not PayoutTerms.objects.exists()


@pytest.mark.parametrize(("text", "age"), [("30d", 30), ("0s", 0), ("48h", 2), ("", None)])
def test_finance_sets_how_old_a_sellers_sales_have_to_be(support, seller, text, age):
    payout_after(support, seller, payout_after=text, confirm="yes")

    terms = PayoutTerms.objects.get(seller=seller)
    assert terms.payout_after == (None if age is None else timedelta(days=age))
    assert (terms.reason, terms.set_by) == ("Three years of sales.", "support@example.com")


@pytest.mark.parametrize("text", ["30", "-1d", "1 week", "91d", "999999999d", "1d 2h"])
def test_an_age_that_cannot_be_meant_is_refused(text):
    form = PayoutAfterForm({"reason": "Why not?", "payout_after": text})

    assert "payout_after" in form.errors


def test_the_sellers_page_shows_who_has_set_it_and_why(support, seller):
    cause = Cause("staff", actor="finance@staff.example", reason="Many disputes.")

    set_payout_after(seller_id=seller.pk, payout_after=timedelta(days=30), cause=cause)

    page = page_of(support, seller.connected_account)
    assert all(text in page for text in ("30 days", "finance@staff.example", "Many disputes."))


def test_what_was_set_is_never_edited(seller):
    cause = Cause("staff", actor="finance@staff.example", reason="Many disputes.")
    set_payout_after(seller_id=seller.pk, payout_after=timedelta(days=30), cause=cause)

    with pytest.raises(DatabaseError, match="append-only"):
        PayoutTerms.objects.update(payout_after=None)
