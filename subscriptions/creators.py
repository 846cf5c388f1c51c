"""Becoming a seller. Listing a work for sale needs a plan that allows it as well: `access` decides."""

from datetime import datetime
from uuid import UUID

from django.db import transaction

from payments.ledger.chart_of_accounts import seller_account
from payments.ledger.postings import open_accounts
from veza.core.models import User


@transaction.atomic
def become_creator(*, user_id: UUID, at: datetime) -> User:
    """Make the person a seller, with an account in the ledger. They stay one since the first time they asked."""
    User.objects.filter(pk=user_id, seller_since_at=None).update(seller_since_at=at)
    open_accounts([seller_account(user_id)])
    return User.objects.get(pk=user_id)
