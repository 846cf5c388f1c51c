"""What a closed seller is owed, or owes: paid as before where it can be, a review item where it cannot.

A closed seller cannot log in to finish their account at Stripe, nor sell to pay a debt. So what would wait for that is
decided by staff. The items follow the money: a sweep opens them, and closes them once nothing is left.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import F, Sum

from connect.models import ConnectedAccount, SellerTransfer
from connect.states import TRANSFER_UNSENT
from connect.transfers.released import unsent_minor
from marketplace.standing import is_money_held
from veza.core import writes
from veza.core.models import User
from veza.core.money import format_amounts, only_amount
from veza.core.reviews import close_reviews_except, open_review_of
from veza.core.sweeps import Tally, beat

SWEEP = "connect.review_closed_sellers"
OWED, DEBT = "closed_seller_owed", "closed_seller_debt"


@dataclass(frozen=True)
class ClosedSellerMoney:
    """Minor units by currency: what is still to be sent to the seller, and what they owe us.

    `can_be_sent`: their account at Stripe receives transfers, and no restriction keeps them.
    """

    unsent: Mapping[str, int]
    debts: Mapping[str, int]
    can_be_sent: bool


def money_of(seller_id: UUID) -> ClosedSellerMoney:
    """What is between the seller and us now."""
    account = ConnectedAccount.objects.filter(seller=seller_id).first()
    is_ready = account is not None and account.can_receive()
    return ClosedSellerMoney(
        unsent=unsent_minor(seller_id),
        debts=_debts(seller_id),
        can_be_sent=is_ready and not is_money_held(seller_id),
    )


def review_money(seller: User) -> ClosedSellerMoney:
    """Open a review item for what a closed seller is owed and cannot be sent, and for what they owe. Returns both.

    In the caller's transaction.
    """
    assert connection.in_atomic_block, "what needs review is written in the commit that closes the account"
    money = money_of(seller.pk)
    if money.unsent and not money.can_be_sent:
        open_review_of(
            OWED,
            **_about(seller, money.unsent),
            why=f"The account of {seller.email} is closed, and {format_amounts(money.unsent)} that they have earned "
            "cannot be sent: no account at Stripe receives it, or a restriction keeps it.",
            what_to_do="Ask the seller. “Reopen account” lets them finish their account at Stripe, and the money is "
            "sent by itself; a suspension or a hold is ended on its page. This item closes when nothing is left.",
        )
    if money.debts:
        open_review_of(
            DEBT,
            **_about(seller, money.debts),
            why=f"The account of {seller.email} is closed, and they owe {format_amounts(money.debts)}.",
            what_to_do="Ask the seller to leave it in their balance at Stripe, from which the worker takes it, or use "
            "“Write off debt” on the transfer's page. This item closes when nothing is owed.",
        )
    return money


def review_closed_sellers() -> None:
    """Do so for every closed seller with money between us, and close the items of those who have none left."""
    standing: dict[str, list[UUID]] = {OWED: [], DEBT: []}
    for seller in User.objects.filter(pk__in=_closed_sellers_with_money()).order_by("pk"):
        with writes.atomic():
            money = review_money(seller)
        if money.unsent and not money.can_be_sent:
            standing[OWED].append(seller.pk)
        if money.debts:
            standing[DEBT].append(seller.pk)
    close_reviews_except(OWED, standing[OWED], note="Nothing waits for the seller, or it can be sent now.")
    close_reviews_except(DEBT, standing[DEBT], note="Nothing is owed any more.")
    beat(SWEEP, Tally(done=len(standing[OWED]) + len(standing[DEBT])))


def _closed_sellers_with_money() -> set[UUID]:
    rows = SellerTransfer.objects.filter(seller__closed_at__isnull=False)
    debts = SellerTransfer.objects.debts() | SellerTransfer.objects.failed_debts()
    of_debts = debts.filter(seller__closed_at__isnull=False)
    return {
        *rows.filter(status__in=TRANSFER_UNSENT).values_list("seller", flat=True),
        *of_debts.values_list("seller", flat=True),
    }


def _debts(seller_id: UUID) -> Mapping[str, int]:
    rows = (SellerTransfer.objects.debts() | SellerTransfer.objects.failed_debts()).filter(seller=seller_id)
    sums = rows.order_by("currency").values("currency")
    totals = sums.annotate(sum=Sum(F("reversal_target_minor") - F("reversed_minor")))
    return {row["currency"]: row["sum"] for row in totals}


def _about(seller: User, by_currency: Mapping[str, int]) -> dict[str, Any]:
    """What the item is about. The amount is one of one currency; the sentences name them all."""
    amount_minor, currency = only_amount(by_currency)
    return {
        "subject": "core.user",
        "subject_id": seller.pk,
        "correlation_id": seller.pk,
        "amount_minor": amount_minor,
        "currency": currency,
    }
