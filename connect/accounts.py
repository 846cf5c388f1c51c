"""Sellers' accounts at Stripe: opened once, and believed only as far as Stripe last described them."""

from uuid import UUID

from django.db import transaction
from django.db.models.functions import Now

from connect import stripe_api
from connect.models import ConnectedAccount, SellerTransfer, WaitingFor
from connect.stripe_objects import AccountSeen
from veza.core.errors import NotFound
from veza.core.models import User
from veza.core.outcomes import Accepted, Outcome


def request_account(*, seller_id: UUID, country: str) -> Outcome[AccountSeen]:
    """Open the seller's account at Stripe, or read the one they have. `country` is two letters.

    Asking again after an answer was lost is the same request under the same key.
    """
    account = open_account(seller_id=seller_id, country=country)
    if account.stripe_account_id:
        return refresh_account(seller_id=seller_id)
    outcome = stripe_api.create_account(
        account_id=account.pk,
        email=account.seller.email,
        country=account.country,
        idempotency_key=f"{account.pk}:account",
    )
    if isinstance(outcome, Accepted):
        note_account(seller_id=seller_id, seen=outcome.value)
    return outcome


@transaction.atomic(durable=True)
def open_account(*, seller_id: UUID, country: str) -> ConnectedAccount:
    """Commit that a seller is to have an account, before Stripe is asked for it."""
    seller = User.objects.get(pk=seller_id)
    account, _ = ConnectedAccount.objects.get_or_create(seller=seller, defaults={"country": country})
    return account


def refresh_account(*, seller_id: UUID) -> Outcome[AccountSeen]:
    """Read the seller's account at Stripe and keep what it says. Raises NotFound when they have none."""
    account = ConnectedAccount.objects.filter(seller=seller_id, stripe_account_id__isnull=False).first()
    if account is None or account.stripe_account_id is None:
        raise NotFound("This seller has no Stripe account.")
    outcome = stripe_api.read_account(account.stripe_account_id)
    if isinstance(outcome, Accepted):
        note_account(seller_id=seller_id, seen=outcome.value)
    return outcome


@transaction.atomic
def note_account(*, seller_id: UUID, seen: AccountSeen) -> None:
    """Keep what Stripe says of an account. One that can receive now wakes the transfers that waited for it."""
    account = ConnectedAccount.objects.locked().get(seller=seller_id)
    ConnectedAccount.objects.filter(pk=account.pk).update(
        stripe_account_id=seen.account_id,
        transfers_active=seen.transfers_active,
        payouts_enabled=seen.payouts_enabled,
        details_submitted=seen.details_submitted,
        country=seen.country or account.country,
        updated_at=Now(),
    )
    if seen.transfers_active:
        waiting = SellerTransfer.objects.unsent().filter(seller=seller_id, waiting_for=WaitingFor.ACCOUNT)
        waiting.update(next_retry_at=Now())
