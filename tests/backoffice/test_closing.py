"""Closing an account: what ends on each floor, what stays, who may do it, and what the page says beforehand."""

import pytest
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from marketplace.cart import add_item
from marketplace.models import CartItem, License
from marketplace.orders import OrderLine
from payments.models import Refund
from payments.tasks import close_unpaid
from subscriptions.closing import live_subscription_of
from subscriptions.models import Plan
from tests.backoffice.conftest import browser, staff
from tests.buying import deliver_payment, deliver_refund, order_of, paid, payment_of, refund_of
from tests.connect.factories import make_seller, planned
from tests.emails import texts_to, written_to
from tests.factories import OfferFactory, PersonFactory, SellerFactory
from tests.restricting import REASON, by, clerk, closed, reopened
from tests.subscriptions.subscribing import free_plan, subscribe
from veza.backoffice.closing import StaffAccount, close_account, reopen_account
from veza.backoffice.models import StaffAction
from veza.core.accounts import AccountClosed, AccountNotClosed, OwnAccount
from veza.core.api import sessions
from veza.core.email.sending import send_due
from veza.core.ids import new_id
from veza.core.models import Email, User

pytestmark = pytest.mark.django_db


@pytest.fixture
def buyer() -> User:
    return PersonFactory()


def post(user: User, action: str, *, member: User | None = None) -> str:
    """Confirm an action on a user's page; returns the answer's text."""
    page = browser(member or staff("support"))
    address = reverse("admin:core_user_action", args=[user.pk, action])
    form = {"reason": REASON, "confirm": "yes", "submission_id": str(new_id())}
    version = f"version_{user.pk}"
    confirmation = page.post(address).content.decode()
    form[version] = confirmation.split(f'name="{version}" value="')[1].split('"')[0]
    return page.post(address, form, follow=True).content.decode()


def plan_of(seller: User) -> Plan:
    """The plan of the seller's subscription, which they get if they have none."""
    live = live_subscription_of(seller.pk) or subscribe(free_plan(), user=seller, at=timezone.now())
    return live.plan


def preview(user: User, action: str, *, group: str = "support") -> str:
    return browser(staff(group)).post(reverse("admin:core_user_action", args=[user.pk, action])).content.decode()


def close_by(user: User, member: User) -> User:
    return close_account(user_id=user.pk, closed_by=member, cause=by(member), at=timezone.now())


# What ends, and what stays.


def test_every_session_ends_and_no_other_begins(client):
    user = User.objects.create_user("buyer@example.com", "a-long-password")
    session = sessions.begin(user)
    closed(user)

    api = APIClient()
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {session.access_token}")
    assert api.get("/api/v1/marketplace/orders").status_code == 401
    for path, payload in (
        ("refresh", {"refresh_token": session.refresh_token}),
        ("login", {"email": user.email, "password": "a-long-password"}),
    ):
        assert client.post(f"/api/v1/auth/{path}", payload, "application/json").status_code == 401


def test_a_session_of_before_stays_dead_after_reopening():
    user = User.objects.create_user("buyer@example.com", "a-long-password")
    session = sessions.begin(user)
    reopened(closed(user))

    with pytest.raises(sessions.SessionEnded):
        sessions.renew(session.refresh_token)
    assert sessions.begin(user).access_token


def test_the_cart_is_emptied(buyer):
    offer = OfferFactory()
    add_item(owner=buyer, line=OrderLine(offer.product_id, offer.license))

    closed(buyer)

    assert not CartItem.objects.exists()


def test_an_unpaid_order_ends_with_its_page_by_the_worker(sandbox):
    order = order_of(OfferFactory())
    closed(order.buyer)

    close_unpaid()

    order.refresh_from_db()
    assert order.status == "expired"
    assert sandbox.hyperswitch("GET", f"/payments/{payment_of(order).provider_key}").json()["status"] == "cancelled"


def test_a_page_that_hyperswitch_never_made_is_not_made_any_more(sandbox):
    sandbox.fault("drop", "^/payments$", method="POST", times=1)
    order = order_of(OfferFactory())
    closed(order.buyer)

    close_unpaid()

    order.refresh_from_db()
    assert order.status == "expired"
    assert not [call for call in sandbox.calls() if call["path"] == "/payments"][1:]


def test_an_order_that_is_paid_all_the_same_is_returned_and_grants_nothing(sandbox):
    order = order_of(OfferFactory(), OfferFactory())
    closed(order.buyer)

    paid(order)

    refund = Refund.objects.get()
    assert (order.status, refund.amount_minor) == ("refund_pending", order.total_minor)
    assert not License.objects.exists()
    assert not order.transfers.exists()


def test_a_declined_page_of_a_closed_buyer_is_closed_too(sandbox):
    order = order_of(OfferFactory())
    deliver_payment(payment_of(order), status="failed")
    closed(order.buyer)

    close_unpaid()

    assert payment_of(order).close_due_at is None


def test_licences_stay_and_their_order_is_refunded_by_its_seller(sandbox):
    order = order_of(OfferFactory())
    sandbox.pay(payment_of(order).provider_key)
    paid(order)
    closed(order.buyer)
    assert License.objects.get().status == "active"

    deliver_refund(refund_of(order, requested_by=order.items.get().seller))

    order.refresh_from_db()
    assert (order.status, License.objects.get().status) == ("refunded", "revoked")


def test_the_notice_says_what_ended_why_and_how_to_contest():
    seller = SellerFactory()
    plan = plan_of(seller)

    closed(seller)

    (text,) = texts_to(seller)
    assert "You cannot log in any more, and nothing will be charged to you." in text
    assert f"The reason: {REASON}" in text
    assert plan.name in text
    assert "Your works are not sold any more." in text
    assert "answer this e-mail and say why" in text


def test_a_buyer_reads_nothing_about_sales(buyer):
    closed(buyer)

    assert "works" not in texts_to(buyer)[0]


def test_an_email_that_asks_for_a_log_in_is_dropped(sandbox):
    order = order_of(OfferFactory())
    deliver_payment(payment_of(order), status="failed")
    closed(order.buyer)
    Email.objects.update(next_attempt_at=timezone.now())

    send_due()

    assert {email.message: email.status for email in written_to(order.buyer)} == {
        "order_unpaid": "dropped",
        "account_closed": "sent",
    }


def test_reopening_is_told_and_outdates_the_notice(buyer):
    reopened(closed(buyer))

    (text,) = texts_to(buyer)
    buyer.refresh_from_db()
    assert "You can log in again" in text
    assert (buyer.is_active, buyer.closed_at, buyer.closed_reason) == (True, None, "")


# Who may.


def test_an_account_is_closed_and_reopened_once(buyer):
    with pytest.raises(AccountNotClosed):
        reopened(buyer)
    closed(buyer)

    with pytest.raises(AccountClosed):
        closed(buyer)


def test_staff_cannot_close_or_reopen_their_own_account():
    member = clerk(is_superuser=True)

    with pytest.raises(OwnAccount):
        close_by(member, member)
    with pytest.raises(OwnAccount):
        reopen_account(user_id=member.pk, reopened_by=member, cause=by(member), at=timezone.now())


def test_a_clerk_cannot_lock_out_a_colleague_and_a_superuser_can():
    colleague = clerk()

    with pytest.raises(StaffAccount):
        close_by(colleague, clerk())

    assert not close_by(colleague, clerk(is_superuser=True)).is_active


def test_the_user_admin_cannot_switch_a_user_off(boss, buyer):
    page = reverse("admin:core_user_change", args=[buyer.pk])
    form = {"email": buyer.email, "name": "New", "language": "en", "time_zone": "UTC"}

    boss.post(page, form)

    buyer.refresh_from_db()
    assert (buyer.name, buyer.is_active) == ("New", True)


# The pages.


def test_the_preview_counts_what_ends_and_what_stays(sandbox):
    seller = make_seller()
    plan = plan_of(seller)
    OfferFactory.create_batch(2, product__seller=seller)
    planned(seller, amount_minor=9_00)
    order_of(OfferFactory(), buyer=seller)

    text = preview(seller, "close-account")

    assert f"Their subscription to {plan.name} (active) ends now." in text
    assert "Unpaid orders whose payment pages the worker closes: 1." in text
    assert "Works that leave sale: 3." in text  # One was sold by `planned`.
    assert "9.00 EUR that they have earned is still sent" in text


def test_support_closes_and_reopens_from_the_users_page(buyer):
    member = staff("support")

    assert "The account is closed." in post(buyer, "close-account", member=member)
    buyer.refresh_from_db()
    assert (buyer.is_active, buyer.closed_reason) == (False, REASON)

    assert "The account is open again." in post(buyer, "reopen-account", member=member)


def test_the_record_names_who_closed_it_and_why(buyer):
    post(buyer, "close-account")

    action = StaffAction.objects.get(subject_id=str(buyer.pk))
    assert (action.label, action.reason, action.outcome) == ("Close account", REASON, "done")


def test_a_refused_action_says_why():
    member = clerk(email="colleague@staff.example")

    assert "is a member of staff: ask a superuser." in post(member, "close-account")


def test_the_page_offers_what_makes_sense(buyer):
    page = browser(staff("support")).get(reverse("admin:core_user_change", args=[buyer.pk])).content.decode()
    closed(buyer)
    later = browser(User.objects.get(email="support@staff.example"))
    after = later.get(reverse("admin:core_user_change", args=[buyer.pk])).content.decode()

    assert ("Close account" in page, "Suspend seller" in page, "Reopen account" in page) == (True, False, False)
    assert ("Close account" in after, "Reopen account" in after) == (False, True)
