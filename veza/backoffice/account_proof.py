"""The proof of the accounts: statement entries and their postings, each balance's sign, and what each seller owes."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from uuid import NAMESPACE_OID, UUID, uuid5

from django.db.models import Exists, F, OuterRef, Q, QuerySet, Sum

from connect.models import SellerTransfer, SetOff
from connect.states import TransferStatus
from marketplace.models import Order
from payments.ledger.chart_of_accounts import (
    BANK,
    DISPUTE_FEES,
    DISPUTE_LOSS,
    DISPUTE_SUSPENSE,
    PLATFORM_FEE,
    PSP_CLEARING,
    PSP_FEES,
    RECOVERABLE,
    RESERVE,
    STRIPE_BALANCE,
    STRIPE_FEES,
    SUBSCRIPTION_INCOME,
    TAX,
    UNAPPLIED,
    seller_account,
    seller_of,
)
from payments.ledger.opening_balances import postings_of, seller_balances
from payments.ledger.postings import balances
from payments.ledger.proof import Fault
from payments.ledger.statement_proof import statement_faults
from payments.models import Dispute, LedgerAccount, Payment, Posting, Refund, StatementEntry
from payments.review_items import DISPUTE_EXCESS, REFUND_EXCESS
from veza.backoffice.proof import as_of_now
from veza.core.models import ReviewItem
from veza.core.money import format_amount

WRONG_SIGN = "account_on_wrong_side"
# What we have stands below zero (credits less debits), what we owe or earned above.
NEVER_ABOVE_ZERO = (PSP_CLEARING, RECOVERABLE, DISPUTE_LOSS, PSP_FEES, DISPUTE_FEES, STRIPE_FEES, RESERVE)
NEVER_BELOW_ZERO = (UNAPPLIED, PLATFORM_FEE, TAX, SUBSCRIPTION_INCOME, DISPUTE_SUSPENSE)
# What came into these is known from statements only, line by line of these kinds.
FILLED_BY = {STRIPE_BALANCE: ("top_up", "bank_top_up"), BANK: ("settlement", "stripe_payout")}


def account_faults(chunk: int = 500) -> Iterator[Fault]:
    """Everything that is wrong with what belongs to no single payment, in sentences and in bounded memory."""
    with as_of_now():
        yield from _unpaid_orders()
        yield from _unearned_transfers(chunk)
        yield from statement_faults(chunk)
        yield from _unreviewed_sign_faults()
    yield from _seller_faults(chunk)


def _unpaid_orders() -> Iterator[Fault]:
    """Orders that were fulfilled for money which no payment received."""
    orders = Order.objects.filter(~Exists(_paid("pk")), completed_at__isnull=False, total_minor__gt=0)
    for order in orders.iterator():
        amount = format_amount(order.total_minor, order.currency)
        yield Fault(f"order {order.pk}: {amount} was fulfilled and never received", order.total_minor, order.currency)


def _paid(order: str) -> QuerySet[Payment]:
    """The payment whose money was applied to the order whose id is in that column."""
    received = Payment.objects.filter(purpose=Payment.Purpose.ORDER, purpose_id=OuterRef(order), received_minor__gt=0)
    return received.applied()


def _unearned_transfers(chunk: int) -> Iterator[Fault]:
    """Transfers for orders that were never fulfilled, or never paid: no payment's proof would come to them."""
    rows = SellerTransfer.objects.filter(~Exists(_paid("order")) | Q(order__completed_at__isnull=True))
    for row in rows.order_by("pk").iterator(chunk_size=chunk):
        amount = format_amount(row.amount_minor, row.currency)
        text = f"transfer {row.pk} of {amount} is {row.status}, and order {row.order_id} was never fulfilled or paid"
        yield Fault(text, row.amount_minor, row.currency)


def subject_of(code: str, currency: str) -> UUID:
    """What a review item about an account's balance in one currency is filed under."""
    return uuid5(NAMESPACE_OID, f"{code}:{currency}")


def _unreviewed_sign_faults() -> Iterator[Fault]:
    """Support may know why an account stands on the wrong side: an open review item says that it is looked into."""
    reviewed = set(
        ReviewItem.objects.filter(kind=WRONG_SIGN, closed_at__isnull=True).values_list("subject_id", flat=True)
    )
    for subject_id, fault in sign_faults():
        if subject_id not in reviewed:
            yield fault


def sign_faults() -> Iterator[tuple[UUID, Fault]]:
    """Each account of ours that stands on the wrong side of zero, with what its review item is filed under.

    What came into our balance at Stripe, and into our bank account, is known from statements only: the sign says
    something once one was booked.
    """
    never_above = {*NEVER_ABOVE_ZERO}
    booked = {*StatementEntry.objects.values_list("kind", "currency").distinct()}
    for code in (*NEVER_ABOVE_ZERO, *NEVER_BELOW_ZERO, *FILLED_BY):
        explained = _explained_above_zero() if code == PSP_CLEARING else {}
        for currency, total in _balances_of(code).items():
            balance = total - min(max(total, 0), explained.get(currency, 0))
            above = code in never_above or any((kind, currency) in booked for kind in FILLED_BY.get(code, ()))
            if (above and balance > 0) or (code in NEVER_BELOW_ZERO and balance < 0):
                text = f"account {code} stands at {format_amount(balance, currency)}, on the wrong side of zero"
                yield subject_of(code, currency), Fault(text, abs(balance), currency)


def _explained_above_zero() -> dict[str, int]:
    """By currency, how far review items explain that more left Hyperswitch than it captured.

    What left in another currency than that of its payment: its end moves it to the currency in which money came. And
    what was refunded, voided or disputed beyond its payment: we owe it until it is recovered or written off.
    """
    sums: dict[str, int] = defaultdict(int)
    disputes = Dispute.objects.in_doubt().filter(funds_location=Dispute.FundsLocation.BANK)
    excesses = ReviewItem.objects.filter(kind__in=(REFUND_EXCESS, DISPUTE_EXCESS), closed_at__isnull=True)
    for currency, amount in (
        *disputes.values_list("currency", "amount_minor"),
        *Refund.objects.in_doubt().values_list("currency", "amount_minor"),
        *excesses.values_list("currency", "amount_minor"),
    ):
        sums[currency] += amount
    return sums


def _balances_of(code: str) -> dict[str, int]:
    sums: dict[str, int] = defaultdict(int)
    for side, sign in (("credit", 1), ("debit", -1)):
        rows = Posting.objects.filter(**{side: code}).values_list("currency")
        for currency, total in rows.annotate(total=Sum("amount_minor")):
            sums[currency] += sign * total
    return sums


def _seller_faults(chunk: int) -> Iterator[Fault]:
    """Every seller's balance is what is still to be sent to them less what they owe, and nothing else."""
    codes = LedgerAccount.objects.filter(code__startswith="seller:").order_by("code").values_list("code", flat=True)
    last = ""
    while batch := list(codes.filter(code__gt=last)[:chunk]):
        last = batch[-1]
        with as_of_now():
            yield from _faults_of_sellers(batch)


def _faults_of_sellers(codes: Sequence[str]) -> Iterator[Fault]:
    booked: dict[tuple[str, str], int] = defaultdict(int)
    for (code, currency), amount in balances(postings_of(codes)).items():
        if code in codes:
            booked[code, currency] += amount
    yield from _faults_of_openings(booked, seller_balances(codes))
    due = _due_to(codes)
    for code, currency in sorted({*booked, *due}):
        if booked[code, currency] != due[code, currency]:
            yield Fault(
                f"{code} stands at {format_amount(booked[code, currency], currency)}, and what is to be sent to them "
                f"less what they owe is {format_amount(due[code, currency], currency)}",
                abs(booked[code, currency] - due[code, currency]),
                currency,
            )


def _faults_of_openings(
    booked: Mapping[tuple[str, str], int], totals: Mapping[tuple[str, str], int]
) -> Iterator[Fault]:
    """Where an opening balance and the postings since are not the sum of all postings of an account."""
    for code, currency in sorted({*booked, *totals}):
        sum_minor, total_minor = booked.get((code, currency), 0), totals.get((code, currency), 0)
        if sum_minor != total_minor:
            text = (
                f"the opening balance of {code} is wrong: with the postings since it makes "
                f"{format_amount(total_minor, currency)}, and all its postings {format_amount(sum_minor, currency)}"
            )
            yield Fault(text, abs(sum_minor - total_minor), currency)


def _due_to(codes: Sequence[str]) -> dict[tuple[str, str], int]:
    """What each seller's account must stand at: still to be sent, less owed, less what disputes hold in suspense."""
    sellers = [seller for code in codes if (seller := seller_of(code))]
    due: dict[tuple[str, str], int] = defaultdict(int)
    rows = SellerTransfer.objects.filter(seller__in=sellers).exclude(status=TransferStatus.CANCELLED)
    sums = rows.values("seller", "currency").annotate(
        unsent=Sum(F("amount_minor") - F("withheld_minor"), filter=Q(completed_at__isnull=True), default=0),
        debt=Sum(F("reversal_target_minor") - F("reversed_minor"), default=0),
        unasked=Sum("external_reversed_minor", default=0),
    )
    for row in sums:
        due[seller_account(row["seller"]), row["currency"]] += row["unsent"] - row["debt"] + row["unasked"]
    standing = F("amount_minor") - F("unwound_minor")
    for side, sign in (("transfer__seller", 1), ("debt__seller", -1)):
        offsets = SetOff.objects.filter(**{f"{side}__in": sellers}).values_list(side, "currency")
        for seller, currency, total in offsets.annotate(total=Sum(standing)):
            due[seller_account(seller), currency] += sign * total
    in_suspense = Dispute.objects.filter(funds_location=Dispute.FundsLocation.SUSPENSE)
    suspended = in_suspense.values_list("allocation_currency", "allocation")
    for currency, allocation in suspended.iterator():
        for code, amount in allocation.items():
            if code in codes:
                due[code, currency] -= amount
    return due
