"""Buy, use, give back, again: beyond a limit, and for an exclusive licence the second time, support decides."""

from datetime import timedelta

import pytest
from django.utils import timezone

from marketplace.models import License, LicenseOffer, Order, RefundApplication
from marketplace.refund_applications import (
    DECISION_LATE,
    REFUND_TO_DECIDE,
    ApplicationAlreadyDecided,
    RefundDeclined,
    TooManyApplications,
    withdraw_application,
)
from marketplace.refund_decisions import decline_refund, grant_refund
from marketplace.refunds import RefundForbidden
from marketplace.tasks import review_refund_applications
from marketplace.undecided_refunds import review_undecided
from payments.models import Refund
from payments.refunds.refund_requests import RefundAlreadyRequested
from tests.buying import (
    BY_BUYER,
    ago,
    application_of,
    ask_refund,
    deliver_refund,
    order_of,
    paid,
    payment_of,
    refund_of,
    support,
)
from tests.crowd import before_commit
from tests.emails import texts_to, written_to
from tests.factories import OfferFactory, PersonFactory
from veza.backoffice.proof import prove_payment
from veza.core.causes import Cause
from veza.core.errors import NotFound
from veza.core.models import Heartbeat, ReviewItem, User

pytestmark = pytest.mark.django_db
BY_SUPPORT = Cause("staff", actor="ada@staff.example", reason="It was downloaded and printed.")


def bought(sandbox, *offers: LicenseOffer, buyer: User) -> Order:
    order = paid(order_of(*(offers or (OfferFactory(),)), buyer=buyer))
    sandbox.pay(payment_of(order).provider_key)
    return order


def given_back(sandbox, buyer: User, *offers: LicenseOffer) -> Refund:
    refund = refund_of(bought(sandbox, *offers, buyer=buyer))
    assert deliver_refund(refund).status_code == 200
    return refund


@pytest.fixture
def order(sandbox, settings, buyer) -> Order:
    """A paid order of 12.00, whose buyer has given back as many orders as buyers may."""
    settings.SELF_SERVICE_REFUNDS_PER_30_DAYS = 1
    given_back(sandbox, buyer)
    return bought(sandbox, buyer=buyer)


@pytest.fixture
def application(order) -> RefundApplication:
    return application_of(order)


def test_the_eleventh_order_in_thirty_days_is_decided_by_support(sandbox, buyer):
    for _ in range(10):
        given_back(sandbox, buyer)
    order = bought(sandbox, buyer=buyer)

    application = application_of(order)

    order.refresh_from_db()
    assert (application.status, application.why, application.amount_minor) == ("requested", "limit", 12_00)
    assert order.status == "completed"
    assert order.licenses.get().status == "active"
    assert Refund.objects.filter(payment=payment_of(order)).count() == 0


def test_without_a_limit_every_order_can_be_given_back(sandbox, settings, order):
    settings.SELF_SERVICE_REFUNDS_PER_30_DAYS = 0

    assert refund_of(order).status == "pending"


def test_what_was_given_back_long_ago_does_not_count(order):
    Refund.objects.update(created_at=ago(days=30, seconds=1))

    assert refund_of(order).status == "pending"


@pytest.mark.parametrize("source", ["seller", "support", "late_payment"])
def test_what_others_refunded_does_not_count(order, source):
    Refund.objects.update(source=source)

    assert refund_of(order).status == "pending"


@pytest.mark.parametrize("status", ["failed", "bounced"])
def test_a_refund_that_did_not_reach_the_buyer_does_not_count(order, status):
    deliver_refund(Refund.objects.get(), status="failed")
    assert Refund.objects.get().status == "bounced"
    if status == "failed":
        deliver_refund(refund_of(Order.objects.first()), status="failed")

    assert refund_of(order).status == "pending"


def test_more_of_an_order_that_counts_already_needs_no_decision(sandbox, settings, buyer):
    settings.SELF_SERVICE_REFUNDS_PER_30_DAYS = 1
    order = bought(sandbox, OfferFactory(), OfferFactory(), buyer=buyer)
    first, second = order.items.all()
    deliver_refund(refund_of(order, item_ids=[first.pk]))

    assert refund_of(order, item_ids=[second.pk]).status == "pending"


def test_an_exclusive_licence_is_given_back_once(sandbox, buyer):
    offer = OfferFactory(license="exclusive", price_minor=450_00)
    given_back(sandbox, buyer, offer)
    order = bought(sandbox, offer, buyer=buyer)

    application = application_of(order)

    assert (application.why, application.amount_minor) == ("exclusive", 540_00)
    assert License.objects.get(order=order).status == "active"


def test_another_buyer_gives_the_same_exclusive_licence_back(sandbox, buyer):
    offer = OfferFactory(license="exclusive")
    given_back(sandbox, buyer, offer)

    assert refund_of(bought(sandbox, offer, buyer=PersonFactory())).status == "pending"


def test_an_exclusive_that_support_took_back_once_needs_support_again(sandbox, settings, buyer):
    settings.SELF_SERVICE_REFUNDS_PER_30_DAYS = 1
    offer = OfferFactory(license="exclusive")
    given_back(sandbox, buyer)
    deliver_refund(grant(application_of(bought(sandbox, offer, buyer=buyer))))
    settings.SELF_SERVICE_REFUNDS_PER_30_DAYS = 0

    assert application_of(bought(sandbox, offer, buyer=buyer)).why == "exclusive"


def test_the_same_request_again_is_the_same_application(order):
    application = application_of(order)

    again = ask_refund(order, requested_by=order.buyer, refund_id=application.pk)

    assert again == application
    assert RefundApplication.objects.count() == 1


def test_a_second_request_for_the_same_items_is_refused(application, order):
    with pytest.raises(RefundAlreadyRequested, match="our support decides about it, by"):
        ask_refund(order, requested_by=order.buyer)


def test_the_buyer_is_written_that_and_until_when_support_decides(application, buyer):
    (text,) = texts_to(buyer, "refund_application_received")

    assert "12.00" in text
    assert "Our support will decide by" in text
    assert not written_to(buyer, "order_refund_declined")


def test_a_review_item_asks_support_to_decide_in_ten_days(application):
    item = ReviewItem.objects.get(kind=REFUND_TO_DECIDE)

    assert (item.subject_id, item.amount_minor) == (application.pk, 12_00)
    assert application.due_at - timezone.now() > timedelta(days=9)
    assert "Grant refund" in item.what_to_do


def test_no_date_is_promised_when_none_is_set(settings, order):
    settings.REFUND_REQUEST_DUE = timedelta(0)

    assert application_of(order).due_at is None


# Nothing that waits for support is forgotten


def test_an_item_closed_by_hand_comes_back_while_the_refund_is_undecided(application):
    ReviewItem.objects.update(closed_at=timezone.now(), closed_by="ada@staff.example")

    assert (review_undecided(), review_undecided()) == (1, 0)

    item = ReviewItem.objects.get(closed_at=None)
    assert (item.kind, item.subject_id, item.amount_minor) == (REFUND_TO_DECIDE, application.pk, 12_00)


def late(application: RefundApplication) -> RefundApplication:
    """The application, a second after its date."""
    RefundApplication.objects.filter(pk=application.pk).update(due_at=ago(seconds=1))
    review_refund_applications()
    return RefundApplication.objects.get(pk=application.pk)


def test_a_request_that_is_undecided_at_its_date_needs_review_once(application):
    assert review_undecided() == 0
    late(application)
    item = ReviewItem.objects.get(kind=DECISION_LATE)
    assert (item.subject_id, item.amount_minor, item.status) == (application.pk, 12_00, "open")
    assert Heartbeat.objects.get(name="marketplace.review_refund_applications").done == 1

    ReviewItem.objects.filter(kind=DECISION_LATE).update(closed_at=timezone.now())

    assert review_undecided() == 0


@pytest.mark.parametrize("end", [lambda one: grant(one), lambda one: decline(one), lambda one: withdraw(one)])
def test_the_end_of_a_late_request_closes_every_item_about_it(application, end):
    end(late(application))

    assert review_undecided() == 0
    assert [item.status for item in ReviewItem.objects.all()] == ["closed", "closed"]


@pytest.mark.django_db(transaction=True)
def test_a_decision_at_the_moment_of_the_sweep_leaves_no_item_open(application):
    ReviewItem.objects.update(closed_at=timezone.now())
    params = {"application_id": application.pk, "declined_by": support(), "cause": BY_SUPPORT}

    _, rival = before_commit(lambda: decline_refund(**params), review_undecided)

    assert (rival.waited, rival.result()) == (True, 0)
    assert not ReviewItem.objects.filter(closed_at=None).exists()


# Granting


def grant(application: RefundApplication, *, by: User | None = None) -> Refund:
    return grant_refund(application_id=application.pk, granted_by=by or support(), cause=BY_SUPPORT)


def test_a_granted_request_is_refunded_under_its_id(application, order):
    refund = grant(application)

    application.refresh_from_db()
    assert (refund.pk, refund.source, refund.amount_minor) == (application.pk, "support", 12_00)
    assert (application.status, application.decided_by) == ("granted", "ada@staff.example")
    deliver_refund(refund)
    order.refresh_from_db()
    assert (order.status, order.licenses.get().status) == ("refunded", "revoked")
    assert prove_payment(payment_of(order)).is_balanced
    assert ReviewItem.objects.get(kind=REFUND_TO_DECIDE).status == "closed"


def test_a_request_made_in_the_window_is_granted_after_it(application, order):
    Order.objects.filter(pk=order.pk).update(refund_deadline=ago(days=1))

    assert grant(application).status == "pending"


def test_the_buyer_hears_of_a_granted_request_by_its_refund(application, buyer):
    deliver_refund(grant(application))

    assert "Your refund request was granted" in texts_to(buyer, "order_refund_requested")[-1]
    assert texts_to(buyer, "order_refund_sent")


def test_granting_twice_opens_one_refund(application):
    assert grant(application) == grant(application)
    assert Refund.objects.filter(pk=application.pk).count() == 1


def test_granting_is_checked_again_as_it_is_then(application, order):
    refund_of(order, amount_minor=2_00)

    assert grant(application).amount_minor == 10_00


def test_staff_decide_about_no_order_of_their_own(application, order):
    boss = support()
    Order.objects.filter(pk=order.pk).update(buyer=boss)

    with pytest.raises(RefundForbidden, match="colleague"):
        grant(application, by=boss)
    with pytest.raises(RefundForbidden, match="colleague"):
        decline_refund(application_id=application.pk, declined_by=boss, cause=BY_SUPPORT)


def test_a_granted_refund_that_fails_can_be_requested_again(application, order):
    deliver_refund(grant(application), status="failed")

    assert application_of(order).status == "requested"


# Declining and withdrawing


def decline(application: RefundApplication) -> RefundApplication:
    return decline_refund(application_id=application.pk, declined_by=support(), cause=BY_SUPPORT)


def test_a_declined_request_moves_nothing_and_tells_the_buyer_why(application, order, buyer):
    decline(application)

    order.refresh_from_db()
    assert (order.status, order.licenses.get().status) == ("completed", "active")
    (text,) = texts_to(buyer, "refund_application_declined")
    assert "It was downloaded and printed." in text


def test_a_declined_request_is_not_made_again(application, order):
    decline(application)

    with pytest.raises(RefundDeclined, match="downloaded and printed"):
        ask_refund(order, requested_by=order.buyer)


@pytest.mark.parametrize("most", [0, 2])
def test_a_declined_refund_is_not_given_when_the_limit_leaves_room(settings, application, order, most):
    decline(application)
    settings.SELF_SERVICE_REFUNDS_PER_30_DAYS = most

    with pytest.raises(RefundDeclined, match="downloaded and printed"):
        ask_refund(order, requested_by=order.buyer)


def test_a_declined_item_keeps_no_other_item_from_being_given_back(sandbox, settings, buyer):
    settings.SELF_SERVICE_REFUNDS_PER_30_DAYS = 1
    given_back(sandbox, buyer)
    order = bought(sandbox, OfferFactory(), OfferFactory(), buyer=buyer)
    first, second = order.items.all()
    decline(application_of(order, item_ids=[first.pk]))
    settings.SELF_SERVICE_REFUNDS_PER_30_DAYS = 2

    assert refund_of(order, item_ids=[second.pk]).amount_minor == 12_00


def test_support_can_refund_what_it_declined(application, order):
    decline(application)

    assert refund_of(order, requested_by=support()).amount_minor == 12_00


def test_a_decision_is_made_once(application):
    decline(application)

    with pytest.raises(ApplicationAlreadyDecided, match="declined by ada@staff"):
        grant(application)


def withdraw(application: RefundApplication, *, by: User | None = None) -> RefundApplication:
    return withdraw_application(application_id=application.pk, buyer=by or application.order.buyer, cause=BY_BUYER)


def test_a_buyer_withdraws_a_request_and_may_make_another(application, order):
    assert withdraw(application).status == "withdrawn"

    assert application_of(order).pk != application.pk
    assert ReviewItem.objects.filter(kind=REFUND_TO_DECIDE, closed_at__isnull=True).count() == 1


def test_withdrawing_and_requesting_again_has_an_end(application, order, buyer):
    for _ in range(9):
        withdraw(application)
        application = application_of(order)
    withdraw(application)

    with pytest.raises(TooManyApplications):
        ask_refund(order, requested_by=buyer)


def test_another_user_withdraws_nothing(application):
    with pytest.raises(NotFound):
        withdraw(application, by=PersonFactory())


def test_nobody_else_is_blocked_by_a_request(sandbox, settings, buyer):
    settings.SELF_SERVICE_REFUNDS_PER_30_DAYS = 1
    given_back(sandbox, buyer)
    order = paid(order_of(OfferFactory(), OfferFactory(), buyer=buyer))
    sandbox.pay(payment_of(order).provider_key)
    application = application_of(order)
    first, second = order.items.all()

    deliver_refund(refund_of(order, requested_by=first.seller))

    application.refresh_from_db()
    assert (application.status, grant(application).amount_minor) == ("requested", second.total_minor)


def test_a_request_of_whose_items_nothing_is_left_is_withdrawn(application, order):
    deliver_refund(refund_of(order, requested_by=order.items.get().seller))

    application.refresh_from_db()
    assert application.status == "withdrawn"
    assert ReviewItem.objects.get(kind=REFUND_TO_DECIDE).note == "Nothing is left of its items."


def test_a_request_while_the_money_is_promised_is_not_granted(application, order):
    refund_of(order, requested_by=order.items.get().seller)

    with pytest.raises(RefundAlreadyRequested):
        grant(application)
