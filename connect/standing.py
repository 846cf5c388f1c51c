"""Whom Stripe refuses: their works leave sale."""

from typing import Any

from django.db.models import Q, QuerySet

from connect.accounts import DISCONNECTED
from connect.models import ConnectedAccount
from connect.stripe.restrictions import REJECTED
from veza.core.models import ReviewItem


def refused_by_stripe() -> QuerySet[Any, Any]:
    """The ids of sellers whose account Stripe rejected, or to which it gives us no access any more."""
    disconnected = ReviewItem.objects.filter(kind=DISCONNECTED, closed_at__isnull=True).values("subject_id")
    is_refused = Q(disabled_reason__startswith=REJECTED) | Q(pk__in=disconnected)
    return ConnectedAccount.objects.filter(is_refused).values("seller")
