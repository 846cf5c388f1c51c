"""Sellers' accounts at Stripe: opened once, and trusted only as far as Stripe's latest snapshot goes."""

from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, QuerySet, TextChoices
from django.db.models.functions import Now
from django.utils import timezone

from connect.messages.accounts import write_attention_email
from connect.models import ConnectedAccount, SellerTransfer, WaitingFor
from connect.stripe import client
from connect.stripe.calls import ACCOUNT_DISCONNECTED
from connect.stripe.objects import OnboardingLink, RemoteAccount, RemoteCapability
from connect.stripe.regions import COUNTRIES, capabilities_under, service_agreement
from connect.stripe.restrictions import bars_transfers, may_receive, unknown_values
from connect.worker.retry_policy import READ_AGAIN_AFTER, REFRESH_LEASE
from marketplace.catalogue import NotASeller
from veza.core import writes
from veza.core.causes import Cause
from veza.core.errors import NotAllowed, NotFound
from veza.core.models import ReviewItem, User
from veza.core.outcomes import Accepted, NotSent, Outcome, Refused, Unknown
from veza.core.reviews import close_review, close_review_by_hand, close_reviews, open_review, open_review_of
from veza.core.sweeps import TICK_FOR, Queue, Tally, tick

SWEEP = "connect.look_at_accounts"

# The review item of an account that was closed, or that revoked our access.
DISCONNECTED = "account_gone"
# That of several such accounts within an hour, about all of them.
SEVERAL_DISCONNECTED = "accounts_gone"
SEVERAL = 3
_ALL_ACCOUNTS = UUID(int=0)
# That of an account about which Stripe says something that Veza does not know.
STATUS_UNKNOWN = "account_status_unknown"

Value = TypeVar("Value")


class AccountNotDisconnected(NotAllowed):
    code = "account_not_gone"


class AccountRefused(NotAllowed):
    code = "account_refused"


class CountryNotServed(NotAllowed):
    code = "country_not_served"


class StripeUnavailable(NotAllowed):
    code = "stripe_unavailable"
    http_status = 503


class AccountStatus(TextChoices):
    """How far a seller is from being paid."""

    NONE = "none"
    ONBOARDING = "onboarding"
    ACTIVE = "active"
    RESTRICTED = "restricted"


@dataclass(frozen=True)
class Onboarding:
    """A seller's account, and the link to finish it."""

    account: ConnectedAccount
    link: OnboardingLink


def account_status_of(account: ConnectedAccount | None) -> AccountStatus:
    """The seller's account status. Only `transfers_active` decides whether they can be paid."""
    if account is None or account.stripe_account_id is None:
        return AccountStatus.NONE
    if account.transfers_active:
        return AccountStatus.ACTIVE
    if account.details_submitted or bars_transfers(account.disabled_reason):
        return AccountStatus.RESTRICTED
    return AccountStatus.ONBOARDING


def start_onboarding(*, seller: User, country: str) -> Onboarding:
    """Open the seller's account at Stripe, if they have none yet, and create a link to its forms.

    The link is for one visit within minutes. Raises NotASeller, CountryNotServed, AccountRefused, StripeUnavailable.
    """
    if seller.seller_since_at is None:
        raise NotASeller("Become a seller first: POST /api/v1/me/creator.")
    _value(request_account(seller_id=seller.pk, country=country))
    account = ConnectedAccount.objects.get(seller=seller)
    assert account.stripe_account_id, "an accepted account has Stripe's id"
    link = client.create_account_link(
        stripe_account_id=account.stripe_account_id,
        return_url=f"{settings.PUBLIC_BASE_URL}/connect/returned",
        refresh_url=f"{settings.PUBLIC_BASE_URL}/connect/refresh",
    )
    return Onboarding(account, _value(link))


def request_account(*, seller_id: UUID, country: str) -> Outcome[RemoteAccount]:
    """Open the seller's account at Stripe, or refresh the one they have. `country` is two letters.

    Repeating it after an answer was lost is the same request under the same key. Raises CountryNotServed.
    """
    account = open_account(seller_id=seller_id, country=country)
    if account.stripe_account_id:
        return refresh_account(seller_id=seller_id)
    agreement = service_agreement(account.country, platform_country=settings.STRIPE_PLATFORM_COUNTRY)
    outcome = client.create_account(
        account_id=account.pk,
        email=account.seller.email,
        country=account.country,
        service_agreement=agreement,
        capabilities=capabilities_under(agreement, settings.STRIPE_CAPABILITIES),
        idempotency_key=f"{account.pk}:account:{account.key_epoch}",
    )
    if isinstance(outcome, Accepted):
        apply_account(seller_id=seller_id, snapshot=outcome.value, at=timezone.now())
    elif isinstance(outcome, Refused):
        _allow_another_request(account)
    return outcome


@writes.atomic()
def open_account(*, seller_id: UUID, country: str) -> ConnectedAccount:
    """Commit that a seller is to have an account, before Stripe is asked for it.

    The country stays until Stripe has refused it: a request without an answer is repeated as it was. Raises
    CountryNotServed.
    """
    seller = User.objects.get(pk=seller_id)
    own = ConnectedAccount.objects.filter(seller=seller).exclude(country="").first()
    if own is None:
        _refuse_country_not_served(country)
    account, _ = ConnectedAccount.objects.get_or_create(seller=seller, defaults={"country": country})
    if not account.country:
        ConnectedAccount.objects.filter(pk=account.pk, country="").update(country=country)
        account.refresh_from_db()
    return account


def _refuse_country_not_served(country: str) -> None:
    if not service_agreement(country, platform_country=settings.STRIPE_PLATFORM_COUNTRY):
        countries = ", ".join(sorted(COUNTRIES))
        raise CountryNotServed(f"Stripe pays no sellers in {country} for us. These countries are served: {countries}.")


def _allow_another_request(account: ConnectedAccount) -> None:
    """A refused request may be repeated with another country, under another key."""
    own = ConnectedAccount.objects.filter(pk=account.pk, key_epoch=account.key_epoch)
    own.filter(stripe_account_id__isnull=True).update(key_epoch=F("key_epoch") + 1, country="")


def refresh_account(*, seller_id: UUID) -> Outcome[RemoteAccount]:
    """Read the seller's account at Stripe and apply the snapshot. Raises NotFound when they have none."""
    account = ConnectedAccount.objects.filter(seller=seller_id, stripe_account_id__isnull=False).first()
    if account is None or account.stripe_account_id is None:
        raise NotFound("This seller has no Stripe account.")
    read_at = timezone.now()
    outcome = client.read_account(account.stripe_account_id)
    if isinstance(outcome, Accepted):
        apply_account(seller_id=seller_id, snapshot=outcome.value, at=read_at)
    elif isinstance(outcome, Refused) and outcome.code == ACCOUNT_DISCONNECTED:
        revoke_access(account, at=read_at)
    return outcome


def refresh_due() -> Tally:
    """Refresh every account that Stripe reported a change of."""
    rows = ConnectedAccount.objects.filter(refresh_due_at__isnull=False)
    return tick(SWEEP, Queue(rows, due="refresh_due_at", lease=REFRESH_LEASE), _refresh_row, lasting=TICK_FOR / 2)


def _refresh_row(row: ConnectedAccount) -> None:
    due_at = ConnectedAccount.objects.get(pk=row.pk).refresh_due_at
    outcome = refresh_account(seller_id=row.seller_id)
    if isinstance(outcome, Accepted):
        close_reviews(SEVERAL_DISCONNECTED, note="Stripe shows us accounts again.")
    if isinstance(outcome, Accepted | Refused):
        # Only this refresh is over: Stripe may have reported another change while we read.
        ConnectedAccount.objects.filter(pk=row.pk, refresh_due_at=due_at).update(refresh_due_at=None)


@transaction.atomic
def apply_account(*, seller_id: UUID, snapshot: RemoteAccount, at: datetime) -> None:
    """Store a snapshot taken at `at`. An account that can receive now makes the transfers due that waited for it.

    A snapshot older than the stored one changes nothing.
    """
    account = ConnectedAccount.objects.locked().get(seller=seller_id)
    if is_stale(account, at):
        return
    ConnectedAccount.objects.filter(pk=account.pk).update(
        stripe_account_id=snapshot.account_id,
        transfers_active=snapshot.transfers_active,
        transfers_status=snapshot.transfers_status,
        disabled_reason=snapshot.disabled_reason,
        payouts_enabled=snapshot.payouts_enabled,
        details_submitted=snapshot.details_submitted,
        country=snapshot.country or account.country,
        currently_due=list(snapshot.currently_due),
        snapshot_at=_to_the_second(at),
        updated_at=Now(),
    )
    _update_review_of_status(account, snapshot.transfers_status, snapshot.disabled_reason)
    write_attention_email(account.pk)
    if snapshot.transfers_active:
        close_review(DISCONNECTED, account, note="Stripe lets us pay the seller again.")
        wake_transfers(seller_id)


def apply_capability(account: ConnectedAccount, capability: RemoteCapability, /, *, at: datetime) -> None:
    """Store the status of `transfers` taken at `at`. It never outweighs the reason the account is disabled for.

    The caller holds the account's lock, and refreshes it: the account itself may have changed with its capability.
    """
    assert connection.in_atomic_block, "a capability is stored in the commit of its webhook"
    assert capability.name == "transfers", "no other capability decides about money"
    can_receive = may_receive(capability.status, capability.disabled_reason)
    can_receive = can_receive and not bars_transfers(account.disabled_reason)
    ConnectedAccount.objects.filter(pk=account.pk).update(
        transfers_active=can_receive,
        transfers_status=capability.status,
        snapshot_at=_to_the_second(at),
        updated_at=Now(),
    )
    _update_review_of_status(account, capability.status, account.disabled_reason)
    write_attention_email(account.pk)
    if can_receive:
        wake_transfers(account.seller_id)


def _update_review_of_status(account: ConnectedAccount, transfers_status: str, disabled_reason: str) -> None:
    """Open a review item while Stripe says something unknown about the account; close it afterwards."""
    unknown = unknown_values(transfers_status, disabled_reason)
    if not unknown:
        close_review(STATUS_UNKNOWN, account, note="Stripe reports what Veza knows.")
        return
    open_review(
        STATUS_UNKNOWN,
        account,
        why=f"Stripe reports {' and '.join(unknown)}, which Veza does not know: nothing is sent to the account.",
        what_to_do="Support: check the account in Stripe's dashboard, and ask the seller or Stripe what is missing. "
        "Transfers wait. This item closes when Stripe reports something else.",
    )


def is_stale(account: ConnectedAccount, at: datetime) -> bool:
    """Whether the stored snapshot is newer than `at`."""
    return account.snapshot_at is not None and _to_the_second(at) < account.snapshot_at


def _to_the_second(at: datetime) -> datetime:
    # Stripe dates its events by whole seconds: one from the same second as our own refresh may be the newer.
    return at.replace(microsecond=0)


def wake_transfers(seller_id: UUID) -> None:
    """Make due now what waited for the seller's account. The caller holds the account's lock."""
    assert connection.in_atomic_block, "transfers are woken in the transaction that holds their account's lock"
    waiting = SellerTransfer.objects.unsent().filter(seller=seller_id, waiting_for=WaitingFor.ACCOUNT)
    waiting.filter(pk__in=list(waiting.locked().values_list("pk", flat=True))).update(next_retry_at=Now())


@transaction.atomic
def revoke_access(account: ConnectedAccount, *, at: datetime) -> None:
    """Record that Stripe gave us no access to the account at this time: it was closed, or the seller revoked it.

    Nothing is recorded when it was disconnected meanwhile: the seller may have opened another one. Nor when several
    sellers seem to be gone at once: that is rather our key, or our platform, and one review item asks about all.
    """
    own = ConnectedAccount.objects.filter(pk=account.pk, stripe_account_id=account.stripe_account_id)
    row = own.locked().first()
    if row is None or is_stale(row, at) or access_revoked(row):
        return
    if _several_are_gone(at):
        open_review_of(
            SEVERAL_DISCONNECTED,
            subject="connect.connectedaccount",
            subject_id=_ALL_ACCOUNTS,
            correlation_id=None,
            why=f"Stripe gives us no access to more than {SEVERAL} sellers' accounts within an hour.",
            what_to_do="Ops: check in Stripe's dashboard whether our key and our platform are in order. The accounts "
            "are read again hourly, and nothing is recorded about them until then.",
            amount_minor=0,
            currency="",
        )
        own.update(refresh_due_at=at + READ_AGAIN_AFTER)
        return
    own.update(transfers_active=False, payouts_enabled=False, snapshot_at=_to_the_second(at), updated_at=Now())
    open_review(
        DISCONNECTED,
        account,
        why="Stripe gives us no access to the seller's account: it was closed, or the seller revoked our access.",
        what_to_do="Ask the seller. Transfers to them wait until our access is restored. If it never will be, use "
        "“Disconnect account” on its page: the seller then opens another one.",
    )


def _several_are_gone(at: datetime) -> bool:
    recent = ReviewItem.objects.filter(kind=DISCONNECTED, opened_at__gt=at - READ_AGAIN_AFTER)
    return recent.count() >= SEVERAL


def access_revoked(account: ConnectedAccount) -> bool:
    """Whether our access to the account was revoked and its review item is still open."""
    return _revocation_reviews(account).exists()


@writes.atomic()
def disconnect_account(*, account_id: UUID, cause: Cause) -> ConnectedAccount:
    """Disconnect an account without access, so that its seller can open another one. Raises AccountNotDisconnected.

    What was sent to the old account stays there and can still be reversed; what waits goes to the new one.
    """
    account = ConnectedAccount.objects.locked().get(pk=account_id)
    item = _revocation_reviews(account).first()
    if item is None:
        raise AccountNotDisconnected("Only an account to which Stripe gives us no access can be disconnected.")
    # `snapshot_at` is now, so that no webhook about the old account is applied to the next.
    ConnectedAccount.objects.filter(pk=account_id).update(
        stripe_account_id=None,
        key_epoch=F("key_epoch") + 1,
        country="",
        currently_due=[],
        details_submitted=False,
        disabled_reason="",
        transfers_status="",
        transfers_active=False,
        payouts_enabled=False,
        snapshot_at=_to_the_second(timezone.now()),
        refresh_due_at=None,
        updated_at=Now(),
    )
    close_review_by_hand(case_id=item.pk, cause=cause)
    close_review(STATUS_UNKNOWN, account, note="The account was disconnected.")
    account.refresh_from_db()
    assert not account.can_receive(), "a disconnected account receives no transfer"
    return account


def _revocation_reviews(account: ConnectedAccount) -> QuerySet[ReviewItem]:
    return ReviewItem.objects.filter(kind=DISCONNECTED, subject_id=account.pk, closed_at__isnull=True)


def _value(outcome: Outcome[Value]) -> Value:
    match outcome:
        case Accepted(value=value):
            return value
        case Refused(message=message):
            raise AccountRefused(message or "Stripe refused this account.")
        case NotSent() | Unknown():
            raise StripeUnavailable("Stripe did not answer. Try again in a minute: nothing is lost.")
