"""Why a payment was declined, in a sentence that its buyer may read: never the bank's or the provider's own words."""

from collections.abc import Callable, Mapping

from django.utils.translation import gettext as _

# What a bank suspects of a card is not told to whoever holds it: those codes have the sentence of all others.
_SENTENCES: Mapping[str, Callable[[], str]] = {
    "insufficient_funds": lambda: _("There is not enough money on the account."),
    "card_velocity_exceeded": lambda: _("The limit of the card is reached."),
    "expired_card": lambda: _("The card has expired."),
    "incorrect_cvc": lambda: _("The security code of the card is wrong."),
    "incorrect_number": lambda: _("The card number is wrong."),
    "authentication_required": lambda: _("The payment was not confirmed with the bank."),
    "card_not_supported": lambda: _("The card cannot be used for this payment."),
    "processing_error": lambda: _("The payment could not be processed. Try again in a few minutes."),
}
# Other words for the same, among them the numbers of ISO 8583 that many banks answer with.
_SAME_AS = {
    "51": "insufficient_funds",
    "withdrawal_count_limit_exceeded": "card_velocity_exceeded",
    "61": "card_velocity_exceeded",
    "65": "card_velocity_exceeded",
    "54": "expired_card",
    "invalid_expiry_month": "expired_card",
    "invalid_expiry_year": "expired_card",
    "invalid_cvc": "incorrect_cvc",
    "N7": "incorrect_cvc",
    "invalid_number": "incorrect_number",
    "14": "incorrect_number",
    "authentication_failed": "authentication_required",
    "payment_intent_authentication_failure": "authentication_required",
    "1A": "authentication_required",
    "currency_not_supported": "card_not_supported",
    "57": "card_not_supported",
    "issuer_not_available": "processing_error",
    "try_again_later": "processing_error",
    "91": "processing_error",
    "96": "processing_error",
}


def decline_reason(error_code: str) -> str:
    """Why a payment with this error code was declined, in the language of now."""
    sentence = _SENTENCES.get(_SAME_AS.get(error_code, error_code))
    return sentence() if sentence is not None else _("The payment was declined. Try another way to pay.")
