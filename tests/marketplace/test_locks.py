"""Each verb waits for the transaction that is changing its order or its offer, and decides by what that left.

Every test fails without the lock that it is about.
"""

from uuid import UUID

import pytest
from django.db import transaction

from marketplace import refund_decisions
from marketplace.models import License, Order, RefundApplication
from marketplace.order_limits import TooManyOpenOrders
from marketplace.refund_applications import ApplicationAlreadyDecided
from marketplace.refunds import RefundRequest, place_refund
from payments.models import Payment, Refund
from payments.refunds.refund_requests import PaymentInDoubt, RefundAlreadyRequested
from tests.buying import (
    BY_BUYER,
    application_of,
    deliver_payment,
    deliver_refund,
    order_of,
    paid,
    payment_of,
    refund_of,
    support,
    two_sellers_order,
)
from tests.crowd import Rival, before_commit
from tests.factories import OfferFactory, PersonFactory
from veza.core.causes import Cause
from veza.core.ids import new_id
from veza.core.models import ReviewItem

pytestmark = pytest.mark.django_db(transaction=True)
BY_SUPPORT = Cause("staff", actor="support", reason="It was downloaded.")


def second_payment_of(order: Order) -> Payment:
    """Another payment of the order, which failed before anything was received."""
    first = payment_of(order)
    values = {field.attname: getattr(first, field.attname) for field in Payment._meta.concrete_fields}
    return Payment.objects.create(**{**values, "id": new_id(), "hyperswitch_payment_id": None, "status": "failed"})


def refund_all(order: Order, *, refund_id: UUID | None = None) -> Refund | RefundApplication:
    """The buyer's refund of what is left of the order, not sent yet."""
    return place_refund(
        refund_id=refund_id or new_id(),
        order_id=order.pk,
        requested_by=order.buyer,
        refund_request=RefundRequest("It does not open."),
        cause=BY_BUYER,
    )


def test_the_second_payment_of_an_exclusive_license_is_refunded(sandbox):
    offer = OfferFactory(license="exclusive")
    first, second = order_of(offer), order_of(offer)

    _, rival = before_commit(lambda: deliver_payment(payment_of(first)), lambda: deliver_payment(payment_of(second)))

    assert rival.result().json() == {"result": "ok"}
    assert (License.objects.get().order, Refund.objects.get().payment) == (first, payment_of(second))


@pytest.mark.parametrize("is_exclusive_first", [True, False])
def test_an_exclusive_and_a_personal_licence_are_sold_one_after_the_other(sandbox, is_exclusive_first):
    exclusive = OfferFactory(license="exclusive")
    orders = [order_of(exclusive), order_of(OfferFactory(product=exclusive.product))]
    first, second = orders if is_exclusive_first else reversed(orders)

    _, rival = before_commit(lambda: deliver_payment(payment_of(first)), lambda: deliver_payment(payment_of(second)))

    assert (rival.waited, rival.result().json()) == (True, {"result": "ok"})
    sold = {(row.order_id, row.exclusive) for row in License.objects.all()}
    both = {(first.pk, is_exclusive_first), (second.pk, not is_exclusive_first)}
    assert sold == ({(first.pk, True)} if is_exclusive_first else both)


def test_of_two_payments_of_one_buyer_for_one_licence_one_is_delivered(sandbox):
    offer, buyer = OfferFactory(), PersonFactory()
    first, second = order_of(offer, buyer=buyer), order_of(offer, buyer=buyer)

    _, rival = before_commit(lambda: deliver_payment(payment_of(first)), lambda: deliver_payment(payment_of(second)))

    assert rival.result().json() == {"result": "ok"}
    assert (License.objects.get().order, Refund.objects.get().payment) == (first, payment_of(second))


def test_orders_at_once_do_not_pass_the_limit_of_open_ones(sandbox, settings):
    settings.OPEN_ORDERS_PER_BUYER = 1
    offers, buyer = OfferFactory.create_batch(2), PersonFactory()

    first, rival = before_commit(*(lambda offer=offer: order_of(offer, buyer=buyer) for offer in offers))

    assert (first.status, type(rival.result())) == ("pending", TooManyOpenOrders)


def test_a_returned_refund_waits_for_the_sale_of_its_exclusive_license(sandbox):
    offer = OfferFactory(license="exclusive")
    first = paid(order_of(offer))
    refund = refund_of(first)
    deliver_refund(refund)
    second = order_of(offer)

    _, rival = before_commit(
        lambda: deliver_payment(payment_of(second)), lambda: deliver_refund(refund, status="failed")
    )

    assert rival.result().json() == {"result": "ok"}
    assert License.objects.get(order=first).status == "revoked"
    assert ReviewItem.objects.get(kind="license_not_restored").correlation_id == first.pk


def test_the_second_of_two_payments_of_an_order_sells_nothing(sandbox):
    order = two_sellers_order()
    second = second_payment_of(order)
    first = Payment.objects.exclude(pk=second.pk).get()

    _, rival = before_commit(lambda: deliver_payment(first), lambda: deliver_payment(second))

    assert rival.result().json() == {"result": "ok"}
    assert (License.objects.count(), Payment.objects.get(pk=second.pk).status) == (2, "succeeded")


def test_a_refund_waits_for_a_report_that_puts_its_payment_in_doubt(sandbox):
    order = paid(two_sellers_order())

    _, rival = before_commit(
        lambda: deliver_payment(payment_of(order), status="cancelled", amount_received=0), lambda: refund_all(order)
    )

    assert isinstance(rival.result(), PaymentInDoubt)
    assert not Refund.objects.exists()


def test_two_refunds_at_once_never_promise_the_same_money(sandbox):
    order = paid(two_sellers_order())

    first, rival = before_commit(lambda: refund_all(order), lambda: refund_all(order))

    assert isinstance(rival.result(), RefundAlreadyRequested)
    assert Refund.objects.get() == first


def test_two_orders_given_back_at_once_count_one_after_the_other(sandbox, settings):
    settings.SELF_SERVICE_REFUNDS_PER_30_DAYS = 1
    first = paid(two_sellers_order())
    second = paid(order_of(OfferFactory(), buyer=first.buyer))

    _, rival = before_commit(lambda: refund_all(first), lambda: refund_all(second))

    assert isinstance(rival.result(), RefundApplication)
    assert Refund.objects.count() == 1


def test_a_refund_requested_twice_at_once_is_one_refund(sandbox):
    order, refund_id = paid(two_sellers_order()), new_id()

    first, rival = before_commit(
        lambda: refund_all(order, refund_id=refund_id), lambda: refund_all(order, refund_id=refund_id)
    )

    assert rival.result() == first == Refund.objects.get()


@pytest.fixture
def application(sandbox, settings) -> RefundApplication:
    """A request for the refund of a paid order that support has to decide."""
    settings.SELF_SERVICE_REFUNDS_PER_30_DAYS = 1
    buyer = PersonFactory()
    deliver_refund(refund_of(paid(order_of(OfferFactory(), buyer=buyer))))
    return application_of(paid(order_of(OfferFactory(), buyer=buyer)))


def grant(application: RefundApplication) -> Refund:
    """What the database does of a grant, before anything is sent."""
    return refund_decisions._place(application.pk, support(), cause=BY_SUPPORT)


def test_a_request_for_a_refund_is_decided_by_one_of_two(application):
    staff = support()
    _, rival = before_commit(
        lambda: refund_decisions.decline_refund(application_id=application.pk, declined_by=staff, cause=BY_SUPPORT),
        lambda: grant(application),
    )

    assert isinstance(rival.result(), ApplicationAlreadyDecided)
    assert not Refund.objects.filter(pk=application.pk).exists()


def test_a_decision_locks_the_payment_before_the_order(application):
    rival = Rival(lambda: grant(application))

    with transaction.atomic():
        list(Payment.objects.of("order", application.order_id).locked())
        rival.begin()
        Order.objects.locked().get(pk=application.order_id)

    assert (rival.waited, type(rival.result())) == (True, Refund)
