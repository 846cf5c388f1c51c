"""What Stripe refuses about an amount for its currency (docs.stripe.com/currencies).

Written from Stripe's page and not from the house's table, so that a fault of the one shows at the other.
"""

from __future__ import annotations

import re

from sandbox.stripe.errors import bad_parameter
from sandbox.stripe.forms import Params, check_positive

_CURRENCIES = frozenset(
    re.findall(
        "[a-z]{3}",
        "usd aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob brl bsd bwp byn bzd cad cdf "
        "chf clp cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gnf gtq gyd hkd hnl htg huf "
        "idr ils inr isk jmd jod jpy kes kgs khr kmf krw kwd kyd kzt lak lbp lkr lrd lsl mad mdl mga mkd mmk mnt mop "
        "mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd omr pab pen pgk php pkr pln pyg qar ron rsd rub rwf sar sbd "
        "scr sek sgd shp sle sos srd std szl thb tjs tnd top try ttd twd tzs uah ugx usd uyu uzs vnd vuv wst xaf xcd "
        "xof xpf yer zar zmw",
    )
)
_WHOLE_UNITS = ("isk", "ugx")
_LAST_DIGIT_ZERO = ("bhd", "jod", "kwd", "omr", "tnd")
_WHOLE_UNITS_IN_PAYOUTS = (*_WHOLE_UNITS, "huf", "twd")


def check_amount(params: Params, currency: str, *, is_payout: bool = False) -> None:
    """Raise StripeError for an unknown currency, or an amount that Stripe does not move in it."""
    check_positive(params, "amount")
    if currency not in _CURRENCIES:
        raise bad_parameter(f"Invalid currency: {currency}.", "currency")
    amount = params.get("amount", 0)
    if currency in (_WHOLE_UNITS_IN_PAYOUTS if is_payout else _WHOLE_UNITS) and amount % 100:
        message = f"Invalid amount: {currency.upper()} amounts must be evenly divisible by 100."
        raise bad_parameter(message, "amount", "parameter_invalid_integer")
    if currency in _LAST_DIGIT_ZERO and amount % 10:
        message = f"Invalid amount: the last digit of an amount in {currency.upper()} must be 0."
        raise bad_parameter(message, "amount", "parameter_invalid_integer")
