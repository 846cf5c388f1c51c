"""The codes of the ledger's accounts.

The balance of an asset (`psp_clearing`, `stripe_balance`, `bank`, `reserve`) is negative by the amount in it; what we
owe (sellers, tax) is positive.
"""

from uuid import UUID

PSP_CLEARING = "psp_clearing"
UNAPPLIED = "unapplied"
PLATFORM_FEE = "platform_fee"
TAX = "tax"
RECOVERABLE = "recoverable"
STRIPE_BALANCE = "stripe_balance"
SUBSCRIPTION_INCOME = "subscription_income"
DISPUTE_SUSPENSE = "dispute_suspense"
DISPUTE_LOSS = "dispute_loss"
PSP_FEES = "psp_fees"
BANK = "bank"
RESERVE = "reserve"
DISPUTE_FEES = "dispute_fees"
STRIPE_FEES = "stripe_fees"
DIFFERENCES = "differences"
SELLER = "seller:"

# The names of the ledger's own accounts, as staff read them.
ACCOUNT_NAMES = {
    PSP_CLEARING: "Hyperswitch",
    UNAPPLIED: "unapplied funds",
    PLATFORM_FEE: "our fee",
    TAX: "tax",
    RECOVERABLE: "recoverable",
    STRIPE_BALANCE: "our balance at Stripe",
    SUBSCRIPTION_INCOME: "income from subscriptions",
    DISPUTE_SUSPENSE: "dispute suspense",
    DISPUTE_LOSS: "our losses",
    PSP_FEES: "the provider's fees",
    BANK: "our bank account",
    RESERVE: "the reserve that the provider holds",
    DISPUTE_FEES: "the fees of disputes",
    STRIPE_FEES: "Stripe's fees",
    DIFFERENCES: "differences to statements",
}
SYSTEM_ACCOUNTS = tuple(ACCOUNT_NAMES)


def seller_account(seller_id: UUID) -> str:
    """The code of a seller's account."""
    return f"{SELLER}{seller_id}"


def seller_of(code: str) -> UUID | None:
    """The seller whose account this is; None for the ledger's own accounts, and for a code that names no seller."""
    try:
        return UUID(code.removeprefix(SELLER)) if code.startswith(SELLER) else None
    except ValueError:
        return None  # The proof names a posting to such an account, and goes on.
