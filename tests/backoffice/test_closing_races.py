"""An account that is closed at the same moment as something is charged to it: each waits for the other's commit.

Every test fails without the lock that it is about.
"""

import pytest
from django.utils import timezone

from marketplace.cart import check_out
from marketplace.models import License, LicenseOffer, Order
from marketplace.orders import OrderLine, place_order
from payments.collection.payment_requests import send_payment
from payments.models import Payment, Refund
from payments.tasks import close_unpaid
from subscriptions.completion import open_completion
from subscriptions.models import Plan, Subscription
from subscriptions.renewals import open_renewal
from subscriptions.subscribing import open_subscription
from tests.buying import BY_BUYER, deliver_payment, fill_cart, order_of, payment_of
from tests.crowd import before_commit
from tests.factories import OfferFactory, PersonFactory
from tests.marketplace.unpaid import declined_order, pay_again
from tests.restricting import clerk, closed
from tests.subscriptions.subscribing import (
    BY_USER,
    SWEEP,
    PlanFactory,
    activate,
    invoices_of,
    last_payment,
    payments_of,
    subscribe,
)
from veza.core.accounts import AccountClosed
from veza.core.ids import new_id
from veza.core.models import User

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def member() -> User:
    """Made beforehand: the first commit of what races has to be the closing's."""
    return clerk()


def place(buyer: User, offer: LicenseOffer) -> tuple[Order, Payment | None]:
    lines = [OrderLine(offer.product_id, offer.license)]
    return place_order(order_id=new_id(), buyer=buyer, lines=lines, is_sent_now=False, cause=BY_BUYER)


def open_for(user: User, plan: Plan) -> Subscription:
    at = timezone.now()
    return open_subscription(subscription_id=new_id(), user=user, plan_id=plan.pk, cause=BY_USER, at=at)


def renew(subscription: Subscription) -> Payment | None:
    return open_renewal(subscription.pk, cause=SWEEP, at=subscription.period_end_at)


def test_an_order_placed_during_the_closing_is_refused(member):
    buyer, offer = PersonFactory(), OfferFactory()

    _, rival = before_commit(lambda: closed(buyer, member=member), lambda: place(buyer, offer))

    assert isinstance(rival.result(), AccountClosed)
    assert not Order.objects.exists()


def test_a_checkout_during_the_closing_is_refused(member):
    buyer, offer = PersonFactory(), OfferFactory()
    fill_cart(buyer, offer)

    _, rival = before_commit(
        lambda: closed(buyer, member=member), lambda: check_out(order_id=new_id(), owner=buyer, cause=BY_BUYER)
    )

    assert isinstance(rival.result(), AccountClosed)
    assert not Order.objects.exists()


def test_a_request_to_pay_during_the_closing_is_refused(sandbox, member):
    order = declined_order(sandbox)

    _, rival = before_commit(lambda: closed(order.buyer, member=member), lambda: pay_again(order))

    assert isinstance(rival.result(), AccountClosed)
    assert Payment.objects.count() == 1


def test_a_closing_during_the_placing_of_an_order_finds_the_order(sandbox, member):
    buyer, offer = PersonFactory(), OfferFactory()

    before_commit(lambda: place(buyer, offer), lambda: closed(buyer, member=member))
    close_unpaid()

    assert Order.objects.get().status == "expired"


def test_a_subscription_during_the_closing_is_refused(sandbox, member):
    user, plan = PersonFactory(), PlanFactory()

    _, rival = before_commit(lambda: closed(user, member=member), lambda: open_for(user, plan))

    assert isinstance(rival.result(), AccountClosed)
    assert not Subscription.objects.exists()


def test_completing_a_subscription_during_the_closing_is_refused(member):
    subscription = Subscription.objects.create(user=PersonFactory(), plan=PlanFactory(), anchor_day=1, status="active")
    params = {"subscription_id": subscription.pk, "payment_id": new_id(), "user_id": subscription.user_id}

    _, rival = before_commit(
        lambda: closed(subscription.user, member=member), lambda: open_completion(at=timezone.now(), **params)
    )

    assert isinstance(rival.result(), AccountClosed)


def test_a_closing_during_subscribing_ends_what_was_just_opened(sandbox, member):
    user, plan = PersonFactory(), PlanFactory()

    before_commit(lambda: open_for(user, plan), lambda: closed(user, member=member))

    assert Subscription.objects.get().status == "cancelled"


def test_a_renewal_during_the_closing_opens_no_charge(sandbox, member):
    subscription = activate(sandbox)

    _, rival = before_commit(lambda: closed(subscription.user, member=member), lambda: renew(subscription))

    assert rival.result() is None
    assert len(payments_of(subscription)) == 1


def test_a_closing_during_the_renewal_voids_it_and_its_charge_is_not_sent(sandbox, member):
    subscription = activate(sandbox)

    charge, _ = before_commit(lambda: renew(subscription), lambda: closed(subscription.user, member=member))
    send_payment(charge.pk, cause=SWEEP)

    charge.refresh_from_db()
    assert (charge.status, invoices_of(subscription)[-1].status) == ("cancelled", "void")


def test_a_renewal_paid_during_the_closing_is_returned(sandbox, member):
    subscription = activate(sandbox)
    charge = renew(subscription)
    send_payment(charge.pk, cause=SWEEP)

    _, rival = before_commit(lambda: closed(subscription.user, member=member), lambda: deliver_payment(charge))

    assert rival.result().json() == {"result": "ok"}
    assert Refund.objects.get().amount_minor == charge.amount_minor


def test_a_first_payment_booked_before_the_closing_is_kept(sandbox, member):
    subscription = subscribe(PlanFactory())

    before_commit(lambda: deliver_payment(last_payment(subscription)), lambda: closed(subscription.user, member=member))

    subscription.refresh_from_db()
    assert (subscription.status, invoices_of(subscription)[0].status) == ("cancelled", "paid")
    assert not Refund.objects.exists()


@pytest.mark.parametrize("closes_first", [True, False])
def test_an_order_paid_during_the_closing_is_delivered_or_returned(sandbox, closes_first, member):
    order = order_of(OfferFactory())
    steps = [lambda: closed(order.buyer, member=member), lambda: deliver_payment(payment_of(order))]

    before_commit(*(steps if closes_first else reversed(steps)))

    is_delivered = License.objects.filter(status="active").exists()
    returned = sum(Refund.objects.values_list("amount_minor", flat=True))
    assert (is_delivered, returned) in ((True, 0), (False, order.total_minor))
