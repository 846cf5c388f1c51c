"""The table of what staff may decide about sellers and accounts: each decision, and all that follows from it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from connect.models import SellerTransfer
from connect.transfers.transfer_requests import send_due
from marketplace.models import LicenseOffer, Product, SellerRestriction
from marketplace.off_sale import put_back_on_sale
from marketplace.restrictions import extend_restriction, lift_restriction
from marketplace.standing import is_money_held, is_suspended
from payments.models import Payment
from subscriptions.models import Subscription
from tests.backoffice.conftest import browser, staff
from tests.buying import order_of, paid, payment_of
from tests.connect.factories import make_seller, planned
from tests.emails import texts_to
from tests.factories import OfferFactory, PersonFactory
from tests.restricting import REASON, by, clerk, closed, held, off_sale, reopened, suspended
from tests.subscriptions.subscribing import activate, run_sweep
from veza.core.ids import new_id
from veza.core.models import Email, User

pytestmark = pytest.mark.django_db
PASSWORD = "a-long-password"


def lift(restriction: SellerRestriction) -> None:
    lift_restriction(restriction_id=restriction.pk, cause=by(clerk()), at=timezone.now())


def extend(restriction: SellerRestriction) -> None:
    review_at = timezone.now() + timedelta(days=60)
    extend_restriction(restriction_id=restriction.pk, review_at=review_at, cause=by(clerk()), at=timezone.now())


def back_on_sale(product: Product) -> None:
    put_back_on_sale(product_id=product.pk, cause=by(clerk()), at=timezone.now())


@dataclass(frozen=True)
class Follows:
    """What follows for the seller: works sold, money sent, log-in, refunds of their sales, renewals, and e-mails that
    are still true.
    """

    sells: bool
    is_paid: bool
    logs_in: bool
    renews: bool
    emails: tuple[str, ...]
    # The seller by themselves; staff can refund whatever was decided.
    refunds: bool = True


DECISIONS: Mapping[str, tuple[Callable[[LicenseOffer], Any], Follows]] = {
    "nothing": (lambda offer: None, Follows(True, True, True, True, ())),
    "work taken off sale": (
        lambda offer: off_sale(offer.product),
        Follows(False, True, True, True, ("work_taken_off_sale",)),
    ),
    "work put back": (
        lambda offer: back_on_sale(off_sale(offer.product)),
        Follows(True, True, True, True, ("work_back_on_sale",)),
    ),
    "suspended": (
        lambda offer: suspended(offer.product.seller),
        Follows(False, False, True, True, ("seller_suspended",)),
    ),
    "suspension extended": (
        lambda offer: extend(suspended(offer.product.seller)),
        Follows(False, False, True, True, ("restriction_extended",)),
    ),
    "released": (
        lambda offer: lift(suspended(offer.product.seller)),
        Follows(True, True, True, True, ("seller_released",)),
    ),
    "money held": (lambda offer: held(offer.product.seller), Follows(True, False, True, True, ("money_held",))),
    "hold extended": (
        lambda offer: extend(held(offer.product.seller)),
        Follows(True, False, True, True, ("restriction_extended",)),
    ),
    "hold ended": (lambda offer: lift(held(offer.product.seller)), Follows(True, True, True, True, ("hold_ended",))),
    "account closed": (
        lambda offer: closed(offer.product.seller),
        Follows(False, True, False, False, ("account_closed",), refunds=False),
    ),
    "account reopened": (
        lambda offer: reopened(closed(offer.product.seller)),
        Follows(False, True, True, False, ("account_reopened",)),
    ),
    "suspended, then closed": (
        lambda offer: (suspended(offer.product.seller), closed(offer.product.seller)),
        Follows(False, False, False, False, ("seller_suspended", "account_closed"), refunds=False),
    ),
}


@pytest.mark.parametrize("decision", DECISIONS)
def test_a_decision_has_exactly_these_consequences(sandbox, decision):
    decide, expected = DECISIONS[decision]
    offer, subscription, order = seller_at_work(sandbox)
    Email.objects.all().delete()

    decide(offer)

    seller = User.objects.get(pk=offer.product.seller_id)
    emails = tuple(email.message for email in Email.objects.filter(recipient=seller).order_by("pk") if is_true(email))
    actual = Follows(
        sells=may_be_sold(offer),
        is_paid=is_paid(seller),
        logs_in=login_status(seller) == 200,
        refunds=refund_status(seller, order) == 202,
        renews=is_renewed(subscription),
        emails=emails,
    )
    assert actual == expected


def seller_at_work(sandbox) -> tuple[LicenseOffer, Subscription, Any]:
    """A seller with a paid plan, a work on sale, and a paid order of it."""
    seller = make_seller(stripe_account_id=sandbox.create_account())
    seller.set_password(PASSWORD)
    seller.save()
    subscription = activate(sandbox, user=seller, at=timezone.now() - timedelta(days=1))
    offer = OfferFactory(product__seller=seller)
    order = order_of(offer)
    sandbox.pay(payment_of(order).provider_key)
    return offer, subscription, paid(order)


def may_be_sold(offer: LicenseOffer) -> bool:
    """Whether the catalogue shows the work, and a buyer can order it: the two must agree."""
    api = APIClient()
    api.force_authenticate(PersonFactory())
    rows = api.get(f"/api/v1/marketplace/products?seller={offer.product.seller_id}").json()["results"]
    body = {"items": [{"product_id": str(offer.product_id), "license": offer.license}]}
    answer = api.post("/api/v1/marketplace/orders", body, format="json", HTTP_IDEMPOTENCY_KEY=str(new_id()))
    assert bool(rows) == (answer.status_code == 201), answer.content
    return bool(rows)


def is_paid(seller: User) -> bool:
    """Whether the worker sends what the seller has earned."""
    SellerTransfer.objects.filter(seller=seller).update(next_retry_at=timezone.now())
    send_due()
    return not SellerTransfer.objects.filter(seller=seller, status="pending").exists()


def payout_status(seller: User) -> int:
    """Over HTTP, as one who is logged in: a closed seller is not."""
    api = APIClient()
    api.force_authenticate(seller)
    body = {"amount_minor": 1_00, "currency": "EUR"}
    return api.post("/api/v1/connect/payouts", body, format="json", HTTP_IDEMPOTENCY_KEY=str(new_id())).status_code


def login_status(user: User) -> int:
    payload = {"email": user.email, "password": PASSWORD}
    return APIClient().post("/api/v1/auth/login", payload, format="json").status_code


def refund_status(seller: User, order: Any) -> int:
    """Over HTTP with a session of before: what a seller can do by themselves."""
    payload = {"email": seller.email, "password": PASSWORD}
    session = APIClient().post("/api/v1/auth/login", payload, format="json").json()
    api = APIClient()
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {session.get('access_token', '')}")
    body = {"reason": "Sorry."}
    address = f"/api/v1/marketplace/orders/{order.pk}/refund"
    return api.post(address, body, format="json", HTTP_IDEMPOTENCY_KEY=str(new_id())).status_code


def is_renewed(subscription: Subscription) -> bool:
    before = Payment.objects.filter(correlation_id=subscription.pk).count()
    run_sweep(subscription, subscription.period_end_at)
    return Payment.objects.filter(correlation_id=subscription.pk).count() > before


def is_true(email: Email) -> bool:
    return bool(texts_to(email.recipient, email.message))


# The pages.


def confirm(row: Any, action: str, member: User, **answers: str) -> str:
    """Confirm an action on a row's page as this member of staff; returns the text of the page that follows."""
    meta, page = row._meta, browser(member)
    address = reverse(f"admin:{meta.app_label}_{meta.model_name}_action", args=[row.pk, action])
    one = next(one for one in admin.site._registry[type(row)].row_actions if one.name == action)
    form = {"reason": REASON, "confirm": "yes", "submission_id": str(new_id()), **answers}
    return page.post(address, {**form, f"version_{row.pk}": one.version_of(row)}, follow=True).content.decode()


def previewed(row: Any, action: str, group: str) -> str:
    meta = row._meta
    address = reverse(f"admin:{meta.app_label}_{meta.model_name}_action", args=[row.pk, action])
    return browser(staff(group)).post(address).content.decode()


def in_days(number: int) -> str:
    return f"{timezone.now() + timedelta(days=number):%Y-%m-%d}"


def test_the_preview_of_a_suspension_counts_works_orders_and_money(sandbox):
    seller = make_seller()
    offers = OfferFactory.create_batch(3, product__seller=seller)
    order_of(offers[0], offers[1])
    planned(seller, amount_minor=9_00)
    Product.objects.filter(pk=offers[2].product_id).update(published=False)

    text = previewed(seller, "suspend-seller", "support")

    assert "Works that leave sale: 3." in text  # `planned` sold one more.
    assert "Unpaid orders of them: 1." in text
    assert "Money that waits with us until you release the seller: 9.00 EUR." in text
    assert "An e-mail tells the seller" in text
    assert "The seller reads it, without your name." in text


def test_support_suspends_and_releases_a_seller():
    seller, member = make_seller(), staff("support")

    assert "The seller is suspended." in confirm(seller, "suspend-seller", member)
    restriction = SellerRestriction.objects.get()
    assert (restriction.reason, restriction.imposed_by) == (REASON, member.email)

    assert "The suspension has ended." in confirm(restriction, "release-seller", member)
    assert not is_suspended(seller.pk)


def test_finance_holds_money_until_a_day_and_ends_the_hold():
    seller, member = make_seller(), staff("finance")

    assert "The money is held." in confirm(seller, "hold-money", member, review_on=in_days(10))
    restriction = SellerRestriction.objects.get()
    assert f"{restriction.review_at:%Y-%m-%d}" == in_days(10)

    assert "The hold has ended." in confirm(restriction, "end-hold", member)
    assert not is_money_held(seller.pk)


@pytest.mark.parametrize(
    ("days", "complaint"), [(-2, "has passed"), (400, "Choose a review date until"), (None, "This field is required")]
)
def test_a_hold_without_a_sensible_day_is_not_imposed(days, complaint):
    answers = {} if days is None else {"review_on": in_days(days)}

    text = confirm(make_seller(), "hold-money", staff("finance"), **answers)

    assert complaint in text
    assert not SellerRestriction.objects.exists()


@pytest.mark.parametrize(
    ("restrict", "action", "group"), [(suspended, "extend-suspension", "support"), (held, "extend-hold", "finance")]
)
def test_a_restriction_is_extended_from_its_page(restrict, action, group):
    restriction = restrict(make_seller())

    text = confirm(restriction, action, staff(group), review_on=in_days(40))

    assert "stays in force." in text
    assert f"{SellerRestriction.objects.in_force().get().review_at:%Y-%m-%d}" == in_days(40)


def test_support_takes_a_work_off_sale_and_puts_it_back():
    product, member = OfferFactory().product, staff("support")

    assert "The work is off sale." in confirm(product, "take-off-sale", member)
    product.refresh_from_db()
    assert product.taken_off_sale_reason == REASON

    assert "The work may be sold again." in confirm(product, "put-back-on-sale", member)
    product.refresh_from_db()
    assert product.taken_off_sale_at is None


def test_the_users_page_shows_restrictions_and_what_may_be_done():
    seller = make_seller()
    suspended(seller)

    page = browser(staff("support")).get(reverse("admin:core_user_change", args=[seller.pk])).content.decode()

    assert "Restrictions" in page
    assert REASON in page
    assert ("Suspend seller" in page, "Close account" in page) == (False, True)


def test_the_restrictions_page_shows_what_waits():
    transfer = planned(make_seller(), amount_minor=9_00)
    restriction = suspended(transfer.seller)

    page = browser(staff("support")).get(reverse("admin:marketplace_sellerrestriction_change", args=[restriction.pk]))

    assert "9.00 EUR" in page.content.decode()
    assert SellerTransfer.objects.get().status == "pending"


# What a suspended seller can still do.

CALLS = [
    ("get", "/api/v1/me/standing", {}),
    ("get", "/api/v1/me/subscription", {}),
    ("get", "/api/v1/marketplace/orders", {}),
    ("get", "/api/v1/licenses/mine", {}),
    ("get", "/api/v1/marketplace/cart", {}),
    ("get", "/api/v1/subscriptions/invoices", {}),
    ("get", "/api/v1/connect/transfers", {}),
    ("get", "/api/v1/connect/balance", {}),
    ("get", "/api/v1/connect/statement", {"currency": "EUR", "from": "2026-01-01", "to": "2026-02-01"}),
    ("get", "/api/v1/connect/payouts", {}),
    ("post", "/api/v1/me/creator", {}),
    ("patch", "/api/v1/marketplace/products/{product}", {"published": False}),
    ("post", "/api/v1/marketplace/orders/{order}/refund", {"reason": "Sorry."}),
    ("post", "/api/v1/subscriptions/cancel", {}),
]


@pytest.mark.parametrize(("method", "path", "payload"), CALLS)
def test_a_suspended_seller_can_read_refund_and_leave(sandbox, method, path, payload):
    answer = called_while_suspended(sandbox, method, path, payload)

    assert answer.status_code < 300, answer.content


def test_a_suspended_seller_cannot_publish_a_work_back_on_sale(sandbox):
    called_while_suspended(sandbox, "patch", "/api/v1/marketplace/products/{product}", {"published": True})

    assert is_suspended(Product.objects.get(taken_off_sale_at__isnull=False).seller_id)


def called_while_suspended(sandbox, method: str, path: str, payload: dict[str, Any]) -> Any:
    """The answer to a call of a suspended seller, one of whose works was taken off sale."""
    offer, subscription, order = seller_at_work(sandbox)
    Subscription.objects.filter(pk=subscription.pk).update(period_end_at=timezone.now() + timedelta(days=30))
    subscription.invoices.update(period_end_at=timezone.now() + timedelta(days=30))
    suspended(offer.product.seller)
    off_sale(offer.product)
    api = APIClient()
    api.force_authenticate(offer.product.seller)
    extra = {} if method == "get" else {"format": "json", "HTTP_IDEMPOTENCY_KEY": str(new_id())}
    return getattr(api, method)(path.format(product=offer.product_id, order=order.pk), payload, **extra)


@pytest.mark.parametrize(("restrict", "status"), [(held, 409), (suspended, 409), (lambda seller: None, 400)])
def test_a_payout_is_refused_while_the_money_is_held(restrict, status):
    """Without a restriction it goes as far as the seller's own account, which takes no payouts here."""
    restrict(seller := make_seller())

    assert payout_status(seller) == status
