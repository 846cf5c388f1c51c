"""Sellers' accounts at Stripe: opened once, and believed only as far as Stripe last described them."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, QuerySet, TextChoices
from django.db.models.functions import Now
from django.utils import timezone

from connect.models import ConnectedAccount, SellerTransfer, WaitingFor
from connect.stripe import client
from connect.stripe.calls import ACCOUNT_DISCONNECTED
from connect.stripe.objects import OnboardingLink, RemoteAccount
from marketplace.catalogue import NotASeller
from veza.core.causes import Cause
from veza.core.errors import NotAllowed, NotFound
from veza.core.models import ReviewItem, User
from veza.core.outcomes import Accepted, NotSent, Outcome, Refused, Unknown
from veza.core.reviews import close_review, close_review_by_hand, open_review
from veza.core.sweeps import TICK_FOR, Queue, Tally, tick

SWEEP = "connect.look_at_accounts"
# After a look that brought no answer, the next one.
LOOK_AGAIN_AFTER = timedelta(minutes=5)

# The case of an account that was closed, or from which our access was taken away.
DISCONNECTED = "account_gone"

Value = TypeVar("Value")


class AccountNotDisconnected(NotAllowed):
    code = "account_not_gone"


class AccountRefused(NotAllowed):
    code = "account_refused"


class StripeUnavailable(NotAllowed):
    code = "stripe_unavailable"
    http_status = 503


class Standing(TextChoices):
    """Where a seller is on the way to being paid."""

    NONE = "none"
    ONBOARDING = "onboarding"
    ACTIVE = "active"
    RESTRICTED = "restricted"


@dataclass(frozen=True)
class Opened:
    """A seller's account and where they go to finish it."""

    account: ConnectedAccount
    link: OnboardingLink


def standing_of(account: ConnectedAccount | None) -> Standing:
    """Where the seller stands. Only the capability `transfers` decides whether money can go."""
    if account is None or account.stripe_account_id is None:
        return Standing.NONE
    if account.transfers_active:
        return Standing.ACTIVE
    return Standing.RESTRICTED if account.details_submitted else Standing.ONBOARDING


def start_onboarding(*, seller: User, country: str) -> Opened:
    """Open the seller's account at Stripe, if they have none yet, and make a link to its forms.

    The link is for one visit within minutes. Raises NotASeller, AccountRefused, StripeSilent.
    """
    if seller.seller_since_at is None:
        raise NotASeller("Become a seller first: POST /api/v1/me/creator.")
    _value(request_account(seller_id=seller.pk, country=country))
    account = ConnectedAccount.objects.get(seller=seller)
    link = client.create_account_link(
        stripe_account_id=account.stripe_account_id or "",
        return_url=f"{settings.PUBLIC_BASE_URL}/connect/returned",
        refresh_url=f"{settings.PUBLIC_BASE_URL}/connect/refresh",
    )
    return Opened(account, _value(link))


def request_account(*, seller_id: UUID, country: str) -> Outcome[RemoteAccount]:
    """Open the seller's account at Stripe, or read the one they have. `country` is two letters.

    Asking again after an answer was lost is the same request under the same key.
    """
    account = open_account(seller_id=seller_id, country=country)
    if account.stripe_account_id:
        return refresh_account(seller_id=seller_id)
    outcome = client.create_account(
        account_id=account.pk,
        email=account.seller.email,
        country=account.country,
        idempotency_key=f"{account.pk}:account:{account.key_epoch}",
    )
    if isinstance(outcome, Accepted):
        apply_account(seller_id=seller_id, snapshot=outcome.value, at=timezone.now())
    elif isinstance(outcome, Refused):
        _may_be_asked_for_otherwise(account)
    return outcome


@transaction.atomic(durable=True)
def open_account(*, seller_id: UUID, country: str) -> ConnectedAccount:
    """Commit that a seller is to have an account, before Stripe is asked for it.

    The country stays until Stripe has refused it: an unanswered request is repeated as it was.
    """
    seller = User.objects.get(pk=seller_id)
    account, _ = ConnectedAccount.objects.get_or_create(seller=seller, defaults={"country": country})
    if not account.country:
        ConnectedAccount.objects.filter(pk=account.pk, country="").update(country=country)
        account.refresh_from_db()
    return account


def _may_be_asked_for_otherwise(account: ConnectedAccount) -> None:
    refused = ConnectedAccount.objects.filter(pk=account.pk, key_epoch=account.key_epoch)
    refused.filter(stripe_account_id__isnull=True).update(key_epoch=F("key_epoch") + 1, country="")


def refresh_account(*, seller_id: UUID) -> Outcome[RemoteAccount]:
    """Read the seller's account at Stripe and keep what it says. Raises NotFound when they have none."""
    account = ConnectedAccount.objects.filter(seller=seller_id, stripe_account_id__isnull=False).first()
    if account is None or account.stripe_account_id is None:
        raise NotFound("This seller has no Stripe account.")
    asked_at = timezone.now()
    outcome = client.read_account(account.stripe_account_id)
    if isinstance(outcome, Accepted):
        apply_account(seller_id=seller_id, snapshot=outcome.value, at=asked_at)
    elif isinstance(outcome, Refused) and outcome.code == ACCOUNT_DISCONNECTED:
        revoke_access(account_id=account.pk)
    return outcome


def refresh_due() -> Tally:
    """Read every account that Stripe has told us something about."""
    nudged = ConnectedAccount.objects.filter(refresh_due_at__isnull=False)
    return tick(SWEEP, Queue(nudged, due="refresh_due_at", lease=LOOK_AGAIN_AFTER), _look, lasting=TICK_FOR / 2)


def _look(taken: ConnectedAccount) -> None:
    claimed = ConnectedAccount.objects.get(pk=taken.pk)
    outcome = refresh_account(seller_id=taken.seller_id)
    if isinstance(outcome, Accepted | Refused):
        # Only this look is over: Stripe may have told us of something newer while we read.
        ConnectedAccount.objects.filter(pk=taken.pk, refresh_due_at=claimed.refresh_due_at).update(refresh_due_at=None)


@transaction.atomic
def apply_account(*, seller_id: UUID, snapshot: RemoteAccount, at: datetime) -> None:
    """Keep what Stripe said of an account at `at`. One that can receive now wakes the transfers that waited for it.

    What was said before the last of what we know changes nothing.
    """
    account = ConnectedAccount.objects.locked().get(seller=seller_id)
    if is_old_news(account, at):
        return
    ConnectedAccount.objects.filter(pk=account.pk).update(
        stripe_account_id=snapshot.account_id,
        transfers_active=snapshot.transfers_active,
        payouts_enabled=snapshot.payouts_enabled,
        details_submitted=snapshot.details_submitted,
        country=snapshot.country or account.country,
        currently_due=list(snapshot.currently_due),
        described_at=_to_the_second(at),
        updated_at=Now(),
    )
    if snapshot.transfers_active:
        close_review(DISCONNECTED, account, note="Stripe lets us pay the seller again.")
        wake_transfers(seller_id)


def is_old_news(account: ConnectedAccount, at: datetime) -> bool:
    """Whether we know something later of the account than what was said at `at`."""
    return account.described_at is not None and _to_the_second(at) < account.described_at


def _to_the_second(at: datetime) -> datetime:
    # Stripe dates its events by whole seconds: one of the same second as our own look may be the newer.
    return at.replace(microsecond=0)


def wake_transfers(seller_id: UUID) -> None:
    """Send now what waited for the seller's account. The caller holds the account's lock."""
    waiting = SellerTransfer.objects.unsent().filter(seller=seller_id, waiting_for=WaitingFor.ACCOUNT)
    waiting.filter(pk__in=list(waiting.locked().values_list("pk", flat=True))).update(next_retry_at=Now())


@transaction.atomic
def revoke_access(*, account_id: UUID) -> None:
    """Stripe lets us do nothing with the account any more: it was closed, or the seller took our access away."""
    ConnectedAccount.objects.filter(pk=account_id).update(
        transfers_active=False, payouts_enabled=False, updated_at=Now()
    )
    open_review(
        DISCONNECTED,
        ConnectedAccount.objects.get(pk=account_id),
        why="Stripe lets us do nothing with the seller's account: it was closed, or our access was taken away.",
        what_to_do="Ask the seller. Transfers to them wait until they let us in again. If they never will, start the "
        "account anew on its page: they open another one.",
    )


def access_revoked(account: ConnectedAccount) -> bool:
    """Whether Stripe lets us do nothing with the account, and no person has dealt with it yet."""
    return account.stripe_account_id is not None and _cases_of_gone(account).exists()


@transaction.atomic(durable=True)
def disconnect_account(*, account_id: UUID, cause: Cause) -> ConnectedAccount:
    """Forget an account that is gone, so that its seller can open another one. Raises AccountNotGone.

    What was sent to the old one stays there and can still be taken back from it; what waits goes to the new one.
    """
    account = ConnectedAccount.objects.locked().get(pk=account_id)
    case = _cases_of_gone(account).first()
    if case is None or account.stripe_account_id is None:
        raise AccountNotDisconnected(
            "Only an account that Stripe lets us do nothing with any more can be started anew."
        )
    # `described_at` is now, so that nothing said of the old account is taken for news of the next.
    ConnectedAccount.objects.filter(pk=account_id).update(
        stripe_account_id=None,
        key_epoch=F("key_epoch") + 1,
        country="",
        currently_due=[],
        details_submitted=False,
        transfers_active=False,
        payouts_enabled=False,
        described_at=_to_the_second(timezone.now()),
        refresh_due_at=None,
        updated_at=Now(),
    )
    close_review_by_hand(case_id=case.pk, cause=cause)
    account.refresh_from_db()
    return account


def _cases_of_gone(account: ConnectedAccount) -> QuerySet[ReviewItem]:
    return ReviewItem.objects.filter(kind=DISCONNECTED, subject_id=account.pk, closed_at__isnull=True)


def _value(outcome: Outcome[Value]) -> Value:
    match outcome:
        case Accepted(value=value):
            return value
        case Refused(message=message):
            raise AccountRefused(message or "Stripe refused this account.")
        case NotSent() | Unknown():
            raise StripeUnavailable("Stripe has not answered. Ask again in a minute: nothing is lost.")
