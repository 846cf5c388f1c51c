"""The codes of the ledger's accounts.

Assets (`psp_clearing`, `stripe_balance`) stand below zero by what is there; what we owe (sellers, tax) stands above.
"""

from uuid import UUID

PSP_CLEARING = "psp_clearing"
UNAPPLIED = "unapplied"
PLATFORM_FEE = "platform_fee"
TAX = "tax"
RECOVERABLE = "recoverable"
STRIPE_BALANCE = "stripe_balance"
SYSTEM_ACCOUNTS = (
    PSP_CLEARING,
    UNAPPLIED,
    PLATFORM_FEE,
    TAX,
    RECOVERABLE,
    STRIPE_BALANCE,
    "subscription_income",
    "dispute_suspense",
    "dispute_loss",
    "psp_fees",
)


def seller_account(seller_id: UUID) -> str:
    """The code of a seller's account."""
    return f"seller:{seller_id}"
