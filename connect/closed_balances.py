"""What a closed seller still has at Stripe. They cannot ask for a payout any more, so finance pays it out for them."""

from uuid import UUID

from connect.models import ConnectedAccount
from connect.stripe import client
from veza.core.models import ReviewItem
from veza.core.money import format_amounts, only_amount
from veza.core.outcomes import Accepted, NotSent, Refused, Unknown
from veza.core.reviews import close_review, open_review
from veza.core.sweeps import Tally, beat

SWEEP = "connect.review_closed_balances"
BALANCE = "closed_seller_balance"


def review_closed_balances() -> None:
    """Read the balance of each closed seller's account at Stripe, and open a review item for what can be paid out.

    The item closes when nothing is left, or the account is open again. Without an answer everything stays as it is.
    """
    accounts = ConnectedAccount.objects.filter(stripe_account_id__isnull=False).select_related("seller")
    reopened = accounts.filter(seller__closed_at__isnull=True, pk__in=_accounts_under_review())
    for account in reopened:
        close_review(BALANCE, account, note="The account is open again: its seller pays out.")
    count = 0
    for account in accounts.filter(seller__closed_at__isnull=False).order_by("pk").iterator(chunk_size=100):
        if not review_balance(account):
            break  # Stripe is silent, and would be for the others.
        count += 1
    beat(SWEEP, Tally(done=count))


def review_balance(account: ConnectedAccount) -> bool:
    """Open or close the item about one account. Returns whether Stripe answered."""
    assert account.stripe_account_id, "only an account at Stripe has a balance"
    match client.read_balance(account.stripe_account_id):
        case Accepted(value=balance):
            _update_review(account, {currency: amount for currency, amount in balance.items() if amount > 0})
        case Refused():
            pass  # Our access was revoked: that has a review item of its own.
        case NotSent() | Unknown():
            return False
    return True


def _update_review(account: ConnectedAccount, available: dict[str, int]) -> None:
    if not available:
        close_review(BALANCE, account, note="Nothing is left in the account at Stripe.")
        return
    amount_minor, currency = only_amount(available)
    open_review(
        BALANCE,
        account,
        why=f"The account of {account.seller.email} is closed, and {format_amounts(available)} is in their account at "
        "Stripe.",
        what_to_do="“Pay out for the seller” sends it to their bank. This item closes when nothing is left.",
        amount_minor=amount_minor,
        currency=currency,
    )


def _accounts_under_review() -> list[UUID]:
    items = ReviewItem.objects.filter(kind=BALANCE, closed_at__isnull=True)
    return list(items.values_list("subject_id", flat=True))
