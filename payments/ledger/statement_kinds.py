"""The kinds of lines of a statement, as a table: from which account to which each moves money.

A line of another kind needs no code, only its row here and its name in `StatementEntry`'s constraint.
"""

from dataclasses import dataclass

from payments.ledger.chart_of_accounts import (
    BANK,
    DIFFERENCES,
    DISPUTE_FEES,
    DISPUTE_LOSS,
    PSP_CLEARING,
    PSP_FEES,
    RESERVE,
    STRIPE_BALANCE,
    STRIPE_FEES,
    TAX,
)

DIFFERENCE = "difference"
# Accounts that a statement of a provider or of a bank shows, so that what we have booked may differ from it.
ON_A_STATEMENT = (PSP_CLEARING, STRIPE_BALANCE, BANK, RESERVE)


@dataclass(frozen=True)
class StatementKind:
    """A line moves its amount to the account `debit` from the account `credit`; its correction moves it back."""

    debit: str
    credit: str
    what: str


STATEMENT_KINDS = {
    "settlement": StatementKind(BANK, PSP_CLEARING, "Hyperswitch pays out to our bank account"),
    "top_up": StatementKind(STRIPE_BALANCE, PSP_CLEARING, "Hyperswitch pays out to our balance at Stripe"),
    "bank_top_up": StatementKind(STRIPE_BALANCE, BANK, "we send money from our bank account to our balance at Stripe"),
    "stripe_payout": StatementKind(BANK, STRIPE_BALANCE, "Stripe pays out our balance to our bank account"),
    "fee": StatementKind(PSP_FEES, PSP_CLEARING, "the provider deducts a fee"),
    "dispute_fee": StatementKind(DISPUTE_FEES, PSP_CLEARING, "the provider deducts the fee of a dispute"),
    "dispute_fee_return": StatementKind(PSP_CLEARING, DISPUTE_FEES, "the provider returns the fee of a dispute"),
    "stripe_fee": StatementKind(STRIPE_FEES, STRIPE_BALANCE, "Stripe deducts a fee"),
    "tax_remitted": StatementKind(TAX, BANK, "we pay collected tax to the tax office"),
    "reserve_held": StatementKind(RESERVE, PSP_CLEARING, "the provider holds a reserve back"),
    "reserve_released": StatementKind(PSP_CLEARING, RESERVE, "the provider releases a reserve"),
    "collection": StatementKind(DISPUTE_LOSS, STRIPE_BALANCE, "Stripe covers a seller's negative balance from ours"),
    "collection_return": StatementKind(STRIPE_BALANCE, DISPUTE_LOSS, "Stripe returns what it covered for a seller"),
    # From the account that the line names; to it, if the amount is negative.
    DIFFERENCE: StatementKind(DIFFERENCES, "", "the statement differs from our books, for the reason given"),
}


def moved_between(kind: str, account: str, *, is_back: bool) -> tuple[str, str]:
    """The accounts that a line debits and credits. `is_back`: it is a correction, or a difference in our favour."""
    row = STATEMENT_KINDS[kind]
    debit, credit = row.debit, row.credit or account
    return (credit, debit) if is_back else (debit, credit)
