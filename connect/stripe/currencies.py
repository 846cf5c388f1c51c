"""How Stripe writes amounts (docs.stripe.com/currencies).

Two decimals unless it is listed. ISK and UGX have none by ISO 4217 and are written with two that are 00; the last of
three decimals is 0. A payout in HUF or TWD is of whole forint or dollars, though charges and transfers have decimals.
"""

from veza.core.wire_amounts import WireTable

_CODES = """
AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BWP BYN BZD CAD CDF CHF CLP CNY COP
CRC CVE CZK DJF DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR ISK JMD JOD JPY
KES KGS KHR KMF KRW KWD KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK
NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SEK SGD SHP SLE SOS SRD STD SZL THB TJS TND TOP
TRY TTD TWD TZS UAH UGX USD UYU UZS VND VUV WST XAF XCD XOF XPF YER ZAR ZMW
"""
_NO_DECIMALS = ["BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"]
_THREE_DECIMALS = ["BHD", "JOD", "KWD", "OMR", "TND"]
_DECIMALS = dict.fromkeys(_CODES.split(), 2) | dict.fromkeys(_NO_DECIMALS, 0) | dict.fromkeys(_THREE_DECIMALS, 3)
_MULTIPLES = dict.fromkeys(("ISK", "UGX"), 100) | dict.fromkeys(_THREE_DECIMALS, 10)

STRIPE_AMOUNTS = WireTable("Stripe", _DECIMALS, _MULTIPLES)
STRIPE_PAYOUT_AMOUNTS = WireTable("Stripe", _DECIMALS, _MULTIPLES | dict.fromkeys(("HUF", "TWD"), 100))
