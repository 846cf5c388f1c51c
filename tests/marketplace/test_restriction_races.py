"""Two members of staff decide about one seller at the same moment: one of them is told that the other was first."""

from datetime import timedelta

import pytest
from django.utils import timezone

from marketplace.models import SellerRestriction
from marketplace.restrictions import AlreadyRestricted, RestrictionEnded, extend_restriction, lift_restriction
from marketplace.restrictions import suspend_seller as suspend
from marketplace.standing import is_suspended
from tests.crowd import before_commit
from tests.factories import SellerFactory
from tests.restricting import by, clerk, suspended
from veza.core.models import Email, User

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def staff() -> tuple[User, User]:
    return clerk(), clerk()


def test_two_suspensions_at_once_are_one(staff):
    seller, (one, other) = SellerFactory(), staff

    def suspend_by(member: User) -> SellerRestriction:
        return suspend(seller_id=seller.pk, cause=by(member), at=timezone.now())

    _, rival = before_commit(lambda: suspend_by(one), lambda: suspend_by(other))

    assert rival.waited
    assert isinstance(rival.result(), AlreadyRestricted)
    assert Email.objects.filter(message="seller_suspended").count() == 1


@pytest.mark.parametrize("lifts_first", [True, False])
def test_a_restriction_is_lifted_or_extended_never_both(staff, lifts_first):
    restriction, (one, other) = suspended(), staff
    at, review_at = timezone.now(), timezone.now() + timedelta(days=60)

    def lift() -> SellerRestriction:
        return lift_restriction(restriction_id=restriction.pk, cause=by(one), at=at)

    def extend() -> SellerRestriction:
        return extend_restriction(restriction_id=restriction.pk, review_at=review_at, cause=by(other), at=at)

    _, rival = before_commit(lift, extend) if lifts_first else before_commit(extend, lift)

    assert isinstance(rival.result(), RestrictionEnded)
    assert is_suspended(restriction.seller_id) == (not lifts_first)
