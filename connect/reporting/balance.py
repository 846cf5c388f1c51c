"""A seller's balance with us and their debts, from the ledger, and what of their money may be paid out."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from django.db.models import F, Sum
from django.utils import timezone

from connect.funds import find_account_balance, payable_minor, unanswered_minor
from connect.maturity import Maturity, Reserve, reserves_of
from connect.models import SellerTransfer, WaitingFor
from marketplace.allocation import REFUNDED_ONLY, disputes_of
from marketplace.models import RefundLine
from marketplace.standing import is_money_held
from payments.ledger.chart_of_accounts import seller_account
from payments.ledger.opening_balances import seller_balances
from payments.models import Dispute

# More debts of one currency are summed up in `debt_minor` without being listed.
MOST_DEBTS = 100


@dataclass(frozen=True)
class Reason:
    """Why a seller owes: a refund or a lost dispute, and how much of it was theirs."""

    kind: str
    id: UUID
    amount_minor: int


@dataclass(frozen=True)
class Debt:
    """What the seller still owes of one transfer, and the refunds and disputes behind it."""

    transfer_id: UUID
    order_id: UUID
    amount_minor: int
    waiting_for: str
    next_retry_at: datetime | None
    reasons: list[Reason]


@dataclass(frozen=True)
class Balance:
    """Minor units of `currency`.

    `available_minor` may be paid out to the seller's bank now; None while Stripe does not say. `maturing` are shares of
    sales that are too young for that, by day, sent to their account at Stripe or not; the first of them matures at
    `matures_at`. `held_minor` is disputed, in a pending or undecided refund, to be reversed, or in a payout without an
    answer.
    `unsent_minor` waits to be sent to the account, and may be maturing as well. `debt_minor` is what they owe us.

    `debts` lists the debts transfer by transfer. They may come to more than `debt_minor`: what waits to be sent
    is offset against them.
    """

    unsent_minor: int
    debt_minor: int
    currency: str
    available_minor: int | None = None
    held_minor: int = 0
    matures_at: datetime | None = None
    maturing: list[Maturity] = field(default_factory=list)
    debts: list[Debt] = field(default_factory=list)

    @property
    def maturing_minor(self) -> int:
        return sum(day.amount_minor for day in self.maturing)


def read_balances(seller_id: UUID) -> list[Balance]:
    """The seller's balances, with what may be paid out by the balance of their account, which Stripe is asked for."""
    at_stripe = find_account_balance(seller_id)
    reserves, restricted = reserves_of(seller_id, at=timezone.now()), is_money_held(seller_id)
    balances = []
    for balance in balances_of(seller_id):
        reserve = reserves.get(balance.currency, Reserve())
        unanswered = unanswered_minor(seller_id, currency=balance.currency)
        payable = None
        if at_stripe is not None:
            payable = payable_minor(seller_id, at_stripe, reserve, currency=balance.currency)
        balances.append(
            replace(
                balance,
                available_minor=0 if restricted else payable,
                held_minor=reserve.held_minor + unanswered,
                matures_at=reserve.matures_at,
                maturing=reserve.maturing,
            )
        )
    return balances


def balances_of(seller_id: UUID) -> list[Balance]:
    """What waits to be sent to the seller and what they owe us, in each currency they were ever paid in.

    The account with us is one signed number. A reversal under way is no debt, and what an open dispute holds may be
    returned.
    """
    account = seller_account(seller_id)
    sums = {currency: amount for (_, currency), amount in seller_balances([account]).items()}
    no_debt = _under_reversal(seller_id) + _in_dispute(seller_id)
    return [
        Balance(
            unsent_minor=max(0, amount),
            debt_minor=max(0, -(amount + no_debt[currency])),
            currency=currency,
            debts=_debts(seller_id, currency),
        )
        for currency, amount in sorted(sums.items())
    ]


def _under_reversal(seller_id: UUID) -> Counter[str]:
    rows = SellerTransfer.objects.to_reverse().filter(seller=seller_id).exclude(waiting_for=WaitingFor.DEBT)
    sums = rows.values("currency").annotate(sum=Sum(F("reversal_target_minor") - F("reversed_minor")))
    return Counter({row["currency"]: row["sum"] for row in sums})


def _in_dispute(seller_id: UUID) -> Counter[str]:
    """By currency, what open disputes hold of the seller's shares."""
    account, sums = seller_account(seller_id), Counter[str]()
    disputes = Dispute.objects.filter(funds_location=Dispute.FundsLocation.SUSPENSE, allocation__has_key=account)
    for currency, allocation in disputes.values_list("allocation_currency", "allocation"):
        sums[currency] += allocation[account]
    return sums


def _debts(seller_id: UUID, currency: str) -> list[Debt]:
    rows = list(SellerTransfer.objects.debts_of(seller_id, currency)[:MOST_DEBTS])
    reasons = _reasons(seller_id, {row.order_id for row in rows}) if rows else {}
    return [
        Debt(
            transfer_id=row.pk,
            order_id=row.order_id,
            amount_minor=row.outstanding_minor,
            waiting_for=row.waiting_for,
            next_retry_at=row.next_retry_at,
            reasons=reasons.get(row.order_id, []),
        )
        for row in rows
    ]


def _reasons(seller_id: UUID, order_ids: Iterable[UUID]) -> dict[UUID, list[Reason]]:
    """By order: the refunds and disputes that reduced this seller's share, the oldest first."""
    by_order: dict[UUID, list[Reason]] = {order_id: [] for order_id in order_ids}
    lines = RefundLine.objects.filter(
        item__order__in=by_order, item__seller=seller_id, refund__status__in=REFUNDED_ONLY, seller_minor__gt=0
    )
    for line in lines.values("refund_id", "item__order_id").annotate(sum=Sum("seller_minor")).order_by("refund_id"):
        by_order[line["item__order_id"]].append(Reason("refund", line["refund_id"], line["sum"]))
    for order_id, reasons in by_order.items():
        for dispute in disputes_of(order_id).filter(funds_location=Dispute.FundsLocation.BANK).order_by("pk"):
            if amount := dispute.allocation.get(seller_account(seller_id), 0):
                reasons.append(Reason("dispute", dispute.pk, amount))
    return by_order
