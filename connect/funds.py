"""How much of a seller's account at Stripe may be paid out to their bank now.

Its balance at Stripe, less what our books say has to stay there (`connect/maturity.py`), less the payouts that this
balance need not show yet: two requests at once never share a cent.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection
from django.db.models import Q, Sum
from django.db.models.functions import Now
from django.utils import timezone

from connect.maturity import Reserve, reserves_of
from connect.models import ConnectedAccount, SellerPayout
from connect.states import PayoutStatus
from connect.stripe import client
from connect.stripe.calls import ACCOUNT_DISCONNECTED
from connect.stripe.currencies import STRIPE_PAYOUT_AMOUNTS
from connect.stripe.health import HEALTH
from marketplace.standing import is_money_held
from veza.core.errors import NotAllowed
from veza.core.money import format_amount
from veza.core.outcomes import Accepted, NotSent, Refused, Unknown
from veza.core.words import format_time

# Sentences name whole seconds: the one after which it is true.
_A_SECOND = timedelta(seconds=1)


class AccountNotReady(NotAllowed):
    code = "payouts_not_enabled"


class MoneyHeld(NotAllowed):
    code = "money_held"
    http_status = 409


class PayoutExceedsBalance(NotAllowed):
    code = "payout_exceeds_balance"


class PayoutNotExact(NotAllowed):
    code = "amount_not_payable"
    http_status = 400


class PayoutNotMature(NotAllowed):
    code = "payout_not_mature"


class BalanceUnknown(NotAllowed):
    code = "stripe_unavailable"
    http_status = 503


@dataclass(frozen=True)
class AccountBalance:
    """What an account could pay out by Stripe, in minor units by currency, read after `read_at` of our database."""

    available: Mapping[str, int]
    read_at: datetime


def refuse_while_held(seller_id: UUID) -> None:
    """Raise MoneyHeld while our staff hold the seller's money."""
    if is_money_held(seller_id):
        raise MoneyHeld("Our staff hold your money: nothing is paid out until they release it. Contact our support.")


def ready_account(seller_id: UUID, *, lock: bool = False) -> ConnectedAccount:
    """The seller's account, from which Stripe pays out. Raises AccountNotReady."""
    accounts = ConnectedAccount.objects.locked() if lock else ConnectedAccount.objects.all()
    account = accounts.filter(seller=seller_id, stripe_account_id__isnull=False).first()
    if account is None or not account.payouts_enabled:
        raise AccountNotReady("Stripe pays out once your account is complete: POST /api/v1/connect/account.")
    return account


def read_account_balance(account: ConnectedAccount) -> AccountBalance:
    """Ask Stripe for the account's balance. Raises AccountNotReady, BalanceUnknown."""
    assert account.stripe_account_id, "only an account that Stripe has acknowledged has a balance"
    read_at = _now_of_database()
    match client.read_balance(account.stripe_account_id):
        case Accepted(value=available):
            return AccountBalance(available, read_at)
        case Refused(code=code):
            if code == ACCOUNT_DISCONNECTED:
                schedule_account_refresh(account.stripe_account_id)
            raise AccountNotReady("Stripe gives us no access to this account any more. Contact support.")
        case NotSent() | Unknown():
            raise BalanceUnknown("Stripe did not answer with the account's balance. Try again in a minute.")


def schedule_account_refresh(stripe_account_id: str | None) -> None:
    """Refresh the account itself: that shows whether our access was revoked, and opens a review item."""
    ConnectedAccount.objects.filter(stripe_account_id=stripe_account_id).update(refresh_due_at=Now())


def find_account_balance(seller_id: UUID) -> AccountBalance | None:
    """The balance of the seller's account at Stripe, to be shown. None when Stripe does not answer.

    An account that cannot pay out, or does not exist, has nothing available.
    """
    try:
        account = ready_account(seller_id)
        return None if HEALTH.is_down() else read_account_balance(account)
    except AccountNotReady:
        return AccountBalance({}, timezone.now())
    except BalanceUnknown:
        return None


def payable_minor(
    seller_id: UUID, balance: AccountBalance, reserve: Reserve, *, currency: str, besides: UUID | None = None
) -> int:
    """How much of `balance` may be paid out, `besides` the payout of this id; in minor units of `currency`.

    Rounded down to what Stripe pays out: whole forint of HUF, for example.
    """
    assert reserve.kept_minor >= 0, "what has to stay never adds to what can be paid out"
    in_payouts = unanswered_minor(seller_id, currency=currency, since=balance.read_at, besides=besides)
    limit_minor = max(0, balance.available.get(currency, 0) - reserve.kept_minor - in_payouts)
    return limit_minor - limit_minor % STRIPE_PAYOUT_AMOUNTS.step_minor(currency)


def refuse_unless_payable(payout: SellerPayout, balance: AccountBalance) -> None:
    """Check a payout that is not at Stripe against all others: the caller holds its lock, or the account's to open it.

    Raises PayoutNotExact, PayoutExceedsBalance, PayoutNotMature.
    """
    assert connection.in_atomic_block, "a payout is checked in the transaction that opens or claims it"
    currency = payout.currency
    if payout.amount_minor % (step_minor := STRIPE_PAYOUT_AMOUNTS.step_minor(currency)):
        step = format_amount(step_minor, currency)
        raise PayoutNotExact(f"Stripe pays out multiples of {step}, and {payout.amount()} is none.")
    reserve = reserves_of(payout.seller_id, at=timezone.now()).get(currency, Reserve())
    limit = payable_minor(payout.seller_id, balance, reserve, currency=currency, besides=payout.pk)
    if payout.amount_minor <= limit:
        return
    now = f"Only {format_amount(limit, currency)} can be paid out now."
    if not reserve.maturing:
        raise PayoutExceedsBalance(now)
    maturing = format_amount(reserve.maturing_minor, currency)
    raise PayoutNotMature(f"{now} {maturing} of newer sales is maturing: {_from_when(payout, limit, reserve)}.")


def _from_when(payout: SellerPayout, limit_minor: int, reserve: Reserve) -> str:
    """When the payout may be repeated; of one that is larger than all there is, when the next part matures."""
    reached = limit_minor
    for day in reserve.maturing:
        reached += day.amount_minor
        if reached >= payout.amount_minor:
            return f"{payout.amount()} can be paid out from {format_time(day.matures_at + _A_SECOND)}"
    day = reserve.maturing[0]
    amount, at = format_amount(day.amount_minor, payout.currency), format_time(day.matures_at + _A_SECOND)
    return f"the next {amount} can be paid out from {at}"


def unanswered_minor(
    seller_id: UUID, *, currency: str, since: datetime | None = None, besides: UUID | None = None
) -> int:
    """What is in payouts without an answer, or without one at `since`: a balance of then need not show that it left."""
    ended = (PayoutStatus.FAILED, PayoutStatus.CANCELLED)
    own = SellerPayout.objects.filter(seller=seller_id, currency=currency).exclude(status__in=ended)
    own = own.exclude(pk=besides) if besides else own
    is_unanswered = Q(acknowledged_at__isnull=True)
    if since is not None:
        is_unanswered |= Q(acknowledged_at__gte=since)
    return own.filter(is_unanswered).aggregate(sum=Sum("amount_minor"))["sum"] or 0


def _now_of_database() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (now,) = cursor.fetchone()
    assert isinstance(now, datetime), "the database knows the time"
    return now
