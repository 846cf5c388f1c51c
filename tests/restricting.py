"""What staff do to a seller or an account in a test: suspend, hold, take off sale, close."""

from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from marketplace.models import Product, SellerRestriction
from marketplace.off_sale import take_off_sale
from marketplace.restrictions import hold_money, open_due_reviews, suspend_seller
from tests.factories import PersonFactory, SellerFactory
from veza.backoffice.closing import close_account, reopen_account
from veza.core.causes import Cause
from veza.core.models import User

REASON = "Two buyers report copies."


def by(staff: User, reason: str = REASON) -> Cause:
    """The cause of what this member of staff does."""
    return Cause("staff", id=staff.pk, actor=staff.email, reason=reason)


def clerk(**fields: Any) -> User:
    """A member of staff."""
    return PersonFactory(is_staff=True, **fields)


def suspended(seller: User | None = None, *, at: datetime | None = None) -> SellerRestriction:
    """The suspension of a seller."""
    seller = seller or SellerFactory()
    return suspend_seller(seller_id=seller.pk, cause=by(clerk()), at=at or timezone.now())


def held(seller: User | None = None, *, days: int = 10, at: datetime | None = None) -> SellerRestriction:
    """The hold of a seller's money until a review in so many days."""
    seller, at = seller or SellerFactory(), at or timezone.now()
    return hold_money(seller_id=seller.pk, review_at=at + timedelta(days=days), cause=by(clerk()), at=at)


def due_for_review(restriction: SellerRestriction) -> SellerRestriction:
    """The restriction as an older one, whose review date has come, after the sweep."""
    long_ago = timezone.now() - timedelta(days=31)
    values = {name: getattr(restriction, name) for name in ("seller_id", "kind", "reason", "imposed_by")}
    SellerRestriction.objects.filter(pk=restriction.pk).update(ended_at=timezone.now(), ended_by="a test")
    old = SellerRestriction.objects.create(**values, since_at=long_ago, review_at=timezone.now() - timedelta(days=1))
    open_due_reviews()
    return old


def off_sale(product: Product) -> Product:
    """The work after staff took it off sale."""
    return take_off_sale(product_id=product.pk, cause=by(clerk()), at=timezone.now())


def closed(user: User, *, member: User | None = None, at: datetime | None = None) -> User:
    """The user after a member of staff closed their account."""
    member = member or clerk()
    return close_account(user_id=user.pk, closed_by=member, cause=by(member), at=at or timezone.now())


def reopened(user: User) -> User:
    """The user after staff opened their account again."""
    return reopen_account(user_id=user.pk, reopened_by=(staff := clerk()), cause=by(staff), at=timezone.now())
