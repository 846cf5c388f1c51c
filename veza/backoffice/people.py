"""A user's orders, subscriptions, sales and payouts, and the history of a seller's money."""

from collections.abc import Iterator, Sequence

from connect.models import ConnectedAccount, SellerPayout, SellerTransfer
from connect.reporting.balance import Balance, read_balances
from marketplace.models import Order, SellerRestriction
from payments.ledger.chart_of_accounts import SELLER, seller_account
from payments.models import Posting
from payments.timeline import account_names
from subscriptions.models import Subscription
from veza.backoffice.timeline import timeline_of
from veza.core.admin_columns import Panel, age, amount, column, email_title, moment, money, panel, short_id, status
from veza.core.models import Email, StatusChange, User
from veza.core.money import format_amount
from veza.core.timeline import TimelineLine
from veza.core.words import format_status, format_time

# The page shows the newest; the lists have the rest.
SHOWN = 20
REMEMBERED = 100


def panels_of_person(user: User) -> list[Panel]:
    """The user's newest orders, subscriptions, transfers and payouts."""
    return [each for each in [_balances(user), *_panels_of_person(user)] if each.lines]


def _panels_of_person(user: User) -> Iterator[Panel]:
    orders = Order.objects.filter(buyer=user).order_by("-created_at")[:SHOWN]
    yield panel("Orders", orders, [short_id, money("total"), status, age])
    own = Subscription.objects.filter(user=user).select_related("plan").order_by("-created_at")[:SHOWN]
    plan = column("plan")(lambda row: row.plan.name)
    yield panel("Subscriptions", own, [short_id, plan, status, moment("period_end_at", "until"), age])
    accounts = ConnectedAccount.objects.filter(seller=user)
    can_receive = column("can receive transfers")(lambda row: "yes" if row.can_receive() else "not yet")
    yield panel("Stripe account", accounts, [column("account")(lambda row: row.stripe_account_id), can_receive])
    restrictions = SellerRestriction.objects.filter(seller=user).order_by("-pk")[:SHOWN]
    reason = column("reason")(lambda row: row.reason)
    columns = [column("kind")(lambda row: row.kind), status, moment("since_at", "since")]
    yield panel("Restrictions", restrictions, [*columns, moment("review_at", "decide again by"), reason])
    transfers = SellerTransfer.objects.filter(seller=user).order_by("-created_at")[:SHOWN]
    yield panel("Transfers", transfers, [short_id, amount, status, money("reversed", "reversed"), age])
    payouts = SellerPayout.objects.filter(seller=user).order_by("-created_at")[:SHOWN]
    yield panel("Payouts to their bank", payouts, [short_id, amount, status, age])
    yield _emails(user)


def _emails(user: User) -> Panel:
    emails = Email.objects.filter(recipient=user).select_related("recipient").order_by("-created_at", "-pk")[:SHOWN]
    return panel("E-mails", emails, [email_title, status, moment("sent_at", "sent"), age])


def _balances(user: User) -> Panel:
    balances = read_balances(user.pk) if user.seller_since_at else []
    columns = ["available", "maturing", "held", "to be transferred", "debt"]
    return Panel("Balance", columns, [("", _cells(each)) for each in balances])


def _cells(balance: Balance) -> list[str]:
    def text(amount_minor: int) -> str:
        return format_amount(amount_minor, balance.currency)

    available = "Stripe does not tell" if balance.available_minor is None else text(balance.available_minor)
    maturing = text(balance.maturing_minor)
    if balance.matures_at is not None:
        maturing += f", from {format_time(balance.matures_at)}"
    return [available, maturing, text(balance.held_minor), text(balance.unsent_minor), text(balance.debt_minor)]


def timeline_of_person(user: User) -> list[TimelineLine]:
    """The recent history of a seller's money, oldest first; nothing for a user who is no seller."""
    if user.seller_since_at is None:
        return []
    transfers = list(SellerTransfer.objects.filter(seller=user).order_by("-created_at")[:REMEMBERED])
    # A payout belongs to no order: its correlation id is its seller's.
    lines = [*timeline_of(user.pk), *_moves(transfers), *_postings(user)]
    return sorted(lines, key=lambda line: line.at)[-REMEMBERED:]


def _moves(transfers: Sequence[SellerTransfer]) -> list[TimelineLine]:
    amounts = {row.pk: row.amount() for row in transfers}
    changes = StatusChange.objects.filter(subject_id__in=amounts).order_by("-id")[:REMEMBERED]
    return [
        TimelineLine(
            change.at,
            f"The transfer {str(change.subject_id)[-8:]} of {amounts[change.subject_id]} went from "
            f"{format_status(change.from_status)} to {format_status(change.to_status)} "
            f"(by {change.actor or change.cause_kind}).",
            "move",
        )
        for change in changes
    ]


def _postings(user: User) -> list[TimelineLine]:
    account = seller_account(user.pk)
    newest: list[Posting] = []
    for side in ("debit", "credit"):
        own = Posting.objects.filter(**{side: account, f"{side}__code__startswith": SELLER})
        newest += own.order_by("-pk")[:REMEMBERED]
    names = account_names({code for each in newest for code in (each.debit_id, each.credit_id)})
    return [
        TimelineLine(
            each.at,
            f"Booked {format_amount(each.amount_minor, each.currency)} from {names[each.debit_id]} to "
            f"{names[each.credit_id]} (order {str(each.correlation_id)[-8:]}).",
            "posting",
        )
        for each in newest
    ]
