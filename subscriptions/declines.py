"""What a declined charge means for the next one: a table of codes, with their sources.

`HARD`: this card will not be charged again whatever we do, and trying is fined by the networks: ask for another one at
once. `NEEDS_PAYER`: the card works with its payer present: ask for them, charge nothing meanwhile. `SOFT`: it may work
later, on the schedule of SUBSCRIPTION_RETRY_AFTER. A code that is not here is soft.

Sources: docs.stripe.com/declines/codes (the connector's `error_code`); StandardisedCode and RecommendedAction of
Hyperswitch's API (`reason:`, `advice:`); ISO 8583 field 39 as Visa and Mastercard use it (`issuer:`); Mastercard's
merchant advice codes and Visa's category 1, "issuer will never approve" (`network:`, `issuer:`).
"""

from collections.abc import Mapping
from enum import StrEnum

from payments.models import Payment


class Decline(StrEnum):
    SOFT = "soft"
    NEEDS_PAYER = "needs_payer"
    HARD = "hard"


_HARD_CODES = """
  stolen_card lost_card pickup_card restricted_card expired_card invalid_account invalid_number incorrect_number
  new_account_information_available revocation_of_authorization revocation_of_all_authorizations stop_payment_order
  do_not_try_again card_not_supported currency_not_supported transaction_not_allowed
  mandate_revoked debit_not_authorized account_closed bank_account_unusable no_account HE_02
  reason:account_closed_or_invalid reason:authorization_missing_or_revoked reason:card_lost_or_stolen
  reason:card_not_supported_restricted reason:invalid_card_number reason:invalid_expiry_date
  advice:do_not_retry advice:stop_recurring advice:retry_with_different_payment_method_data
  advice:retry_after_instrument_update
  issuer:04 issuer:07 issuer:14 issuer:15 issuer:41 issuer:43 issuer:46 issuer:54 issuer:57 issuer:R0 issuer:R1
  issuer:R3
  network:03 network:21
"""
_NEEDS_PAYER_CODES = """
  authentication_required authentication_not_handled approve_with_id not_confirmed offline_pin_required
  online_or_offline_pin_required reason:authentication_required reason:authentication_failed
  reason:stored_credential_or_mit_not_enabled issuer:1A
"""
DECLINES: Mapping[str, Decline] = dict.fromkeys(_NEEDS_PAYER_CODES.split(), Decline.NEEDS_PAYER) | dict.fromkeys(
    _HARD_CODES.split(), Decline.HARD
)


def decline_of(payment: Payment) -> Decline:
    """What the decline of a failed payment means. The gravest of its codes counts."""
    kinds = {DECLINES.get(code, Decline.SOFT) for code in (payment.error_code, *payment.decline_details.split())}
    return next(kind for kind in (Decline.HARD, Decline.NEEDS_PAYER, Decline.SOFT) if kind in kinds)
