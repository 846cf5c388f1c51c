"""What a seller has with us and what they owe us, from the ledger."""

from dataclasses import dataclass
from uuid import UUID

from django.db.models import F, Sum

from connect.models import SellerTransfer, WaitingFor
from payments.accounts import seller_account
from payments.ledger import balances


@dataclass(frozen=True)
class Balance:
    """Minor units of `currency`: what waits to be sent to the seller, or what they owe us."""

    available_minor: int
    debt_minor: int
    currency: str


def balances_of(seller_id: UUID) -> list[Balance]:
    """The seller's balance in each currency they were ever paid in.

    The account is one signed number. What is being taken back at the moment is on its way and no debt.
    """
    account = seller_account(seller_id)
    signed: dict[str, int] = {}
    for side in ("debit_id", "credit_id"):
        for (code, currency), amount in balances(**{side: account}).items():
            if code == account:
                signed[currency] = signed.get(currency, 0) + amount
    on_its_way = _on_its_way(seller_id)
    return [
        Balance(max(0, amount), max(0, -(amount + on_its_way.get(currency, 0))), currency)
        for currency, amount in sorted(signed.items())
    ]


def _on_its_way(seller_id: UUID) -> dict[str, int]:
    rows = SellerTransfer.objects.to_reverse().filter(seller=seller_id).exclude(waiting_for=WaitingFor.DEBT)
    sums = rows.values("currency").annotate(being_taken_back=Sum(F("reversal_target_minor") - F("reversed_minor")))
    return {row["currency"]: row["being_taken_back"] for row in sums}
