"""Suspensions and holds: who is told what, when staff decide again, and that none is kept in silence."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from marketplace.catalogue import NotASeller
from marketplace.models import SellerRestriction
from marketplace.restrictions import (
    HOLD_DUE,
    SUSPENSION_DUE,
    AlreadyRestricted,
    RestrictionEnded,
    ReviewDateNotPossible,
    extend_restriction,
    hold_money,
    lift_restriction,
    open_due_reviews,
    suspend_seller,
)
from marketplace.standing import is_money_held, is_suspended
from tests.emails import texts_to
from tests.factories import OfferFactory, PersonFactory, SellerFactory
from tests.marketplace.conftest import client_of
from tests.restricting import REASON, by, clerk, due_for_review, held, off_sale, suspended
from veza.core.accounts import OwnAccount
from veza.core.models import ReviewItem

pytestmark = pytest.mark.django_db


def lift(restriction: SellerRestriction, reason: str = "The works are theirs.") -> SellerRestriction:
    return lift_restriction(restriction_id=restriction.pk, cause=by(clerk(), reason), at=timezone.now())


def extend(restriction: SellerRestriction, *, days: int) -> SellerRestriction:
    review_at = timezone.now() + timedelta(days=days)
    cause = by(clerk(), "The bank has not answered.")
    return extend_restriction(restriction_id=restriction.pk, review_at=review_at, cause=cause, at=timezone.now())


def test_a_suspended_seller_sells_nothing_and_gets_no_money(seller):
    suspended(seller)

    assert (is_suspended(seller.pk), is_money_held(seller.pk)) == (True, True)


def test_a_held_seller_sells_and_gets_no_money(seller):
    held(seller)

    assert (is_suspended(seller.pk), is_money_held(seller.pk)) == (False, True)


def test_a_suspension_tells_what_why_since_when_and_how_to_contest(seller):
    restriction = suspended(seller)

    (text,) = texts_to(seller, "seller_suspended")
    assert "Your works are not sold for now." in text
    assert f"The reason: {REASON}" in text
    assert f"{restriction.since_at:%B %Y}" in text
    assert "answer this e-mail and say why" in text
    assert restriction.imposed_by not in text


def test_a_hold_tells_until_when_it_is_decided_again(seller):
    restriction = held(seller, days=10)

    (text,) = texts_to(seller, "money_held")
    assert f"{restriction.review_at.day} {restriction.review_at:%B %Y}" in text


def test_a_release_is_told_and_outdates_the_notice_of_the_suspension(seller):
    lift(suspended(seller))

    (text,) = texts_to(seller)
    assert "What waited for you with us is sent to your Stripe account now." in text
    assert "The reason: The works are theirs." in text


def test_the_end_of_a_suspension_beside_a_hold_promises_no_money(seller):
    held(seller)

    lift(suspended(seller))

    (text,) = texts_to(seller, "seller_released")
    assert "still waits with us for another reason" in text
    assert is_money_held(seller.pk)


def test_staff_cannot_restrict_or_release_their_own_account(seller):
    restriction = suspended(seller)

    with pytest.raises(OwnAccount):
        lift_restriction(restriction_id=restriction.pk, cause=by(seller), at=timezone.now())
    with pytest.raises(OwnAccount):
        hold_money(
            seller_id=seller.pk, review_at=timezone.now() + timedelta(days=1), cause=by(seller), at=timezone.now()
        )


def test_only_a_seller_can_be_suspended():
    with pytest.raises(NotASeller):
        suspended(PersonFactory())


def test_a_second_suspension_says_since_when_there_is_one(seller):
    suspended(seller)

    with pytest.raises(AlreadyRestricted, match=REASON):
        suspended(seller)


def test_a_restriction_ends_once(seller):
    restriction = suspended(seller)
    lift(restriction)

    with pytest.raises(RestrictionEnded):
        lift(restriction)


@pytest.mark.parametrize("days", [-1, 91])
def test_a_review_date_lies_ahead_and_within_the_limit(seller, days):
    with pytest.raises(ReviewDateNotPossible):
        held(seller, days=days)


def test_without_a_limit_a_review_date_may_be_years_away(seller, settings):
    settings.RESTRICTION_REVIEW_WITHIN = timedelta(0)

    assert held(seller, days=800).review_at is not None


def test_an_extension_keeps_the_first_day_and_both_reasons(seller):
    first = held(seller, days=10)

    later = extend(first, days=40)

    first.refresh_from_db()
    assert (first.status, first.reason, first.end_reason) == ("ended", REASON, "The bank has not answered.")
    assert (later.since_at, later.reason) == (first.since_at, "The bank has not answered.")
    assert is_money_held(seller.pk)


def test_an_extension_is_told_instead_of_the_first_notice(seller):
    extend(held(seller, days=10), days=40)

    (text,) = texts_to(seller)
    assert "Your money is still held" in text
    assert "The bank has not answered." in text


@pytest.mark.parametrize(("restrict", "kind"), [(suspended, SUSPENSION_DUE), (held, HOLD_DUE)])
def test_a_restriction_whose_review_date_has_come_needs_review(restrict, kind):
    restriction = due_for_review(restrict())

    item = ReviewItem.objects.get()
    assert (item.kind, item.subject_id, item.status) == (kind, restriction.pk, "open")
    assert REASON in item.why


def test_a_restriction_that_is_not_due_needs_no_review(seller):
    suspended(seller)
    held(seller)

    assert open_due_reviews() == 0
    assert not ReviewItem.objects.exists()


def test_an_item_closed_by_hand_comes_back_while_the_money_is_kept():
    due_for_review(held())
    ReviewItem.objects.update(closed_at=timezone.now())

    open_due_reviews()

    assert ReviewItem.objects.filter(closed_at=None).count() == 1


@pytest.mark.parametrize("decide", [lift, lambda restriction: extend(restriction, days=20)])
def test_a_decision_ends_the_review(decide):
    decide(due_for_review(held()))

    assert open_due_reviews() == 0
    assert ReviewItem.objects.get().status == "closed"


def test_a_suspension_needs_no_review_if_that_is_off(seller, settings):
    settings.SUSPENSION_REVIEW_AFTER = timedelta(0)

    restriction = suspend_seller(seller_id=seller.pk, cause=by(clerk()), at=timezone.now())

    assert restriction.review_at is None


@pytest.mark.parametrize("fields", [{"reason": "Another."}, {"review_at": None}, {"since_at": timezone.now()}])
def test_what_was_decided_is_never_rewritten(seller, fields):
    suspended(seller)

    with pytest.raises(IntegrityError), transaction.atomic():
        SellerRestriction.objects.update(**fields)


def test_a_restriction_is_neither_deleted_nor_ended_twice(seller):
    lift(suspended(seller))

    with pytest.raises(IntegrityError), transaction.atomic():
        SellerRestriction.objects.update(end_reason="Another.")
    with pytest.raises(IntegrityError), transaction.atomic():
        SellerRestriction.objects.all().delete()


def test_a_seller_reads_their_restrictions_and_works_off_sale(seller):
    offer = OfferFactory(product__seller=seller)
    suspended(seller)
    off_sale(offer.product)

    answer = client_of(seller).get("/api/v1/me/standing").json()

    (restriction,), (work,) = answer["restrictions"], answer["works_off_sale"]
    assert restriction.keys() == {"kind", "reason", "since_at", "review_at"}
    assert (restriction["kind"], restriction["reason"]) == ("suspension", REASON)
    assert (work["title"], work["reason"]) == (offer.product.title, REASON)


def test_a_seller_without_restrictions_has_a_clean_standing():
    answer = client_of(SellerFactory()).get("/api/v1/me/standing")

    assert answer.json() == {"restrictions": [], "works_off_sale": []}
