"""Amounts as people read them: an integer of minor units becomes a number of the currency."""

import re
from copy import copy
from decimal import Decimal

from babel import Locale

EXPONENTS = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND"), 0),
    **dict.fromkeys(("VUV", "XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}
"""ISO 4217's digits after the point, where they are not two. (CLDR's are those in use, which differ.)"""


def exponent(currency: str) -> int:
    return EXPONENTS.get(currency.upper(), 2)


def decimal(amount: int, currency: str) -> Decimal:
    """1999, EUR -> 19.99; 1999, KWD -> 1.999."""
    return Decimal(amount).scaleb(-exponent(currency))


def plain(amount: int, currency: str) -> str:
    """19.99 EUR; 1999 JPY: the same everywhere."""
    return f"{decimal(amount, currency):f} {currency.upper()}"


def localised(amount: int, currency: str, locale: str = "en") -> str:
    """As a language writes it: €19.99, 19,99 €."""
    known = Locale.parse(locale)
    pattern = copy(known.currency_formats["standard"])
    digits = exponent(currency)
    pattern.frac_prec = (digits, digits)
    written = pattern.apply(decimal(amount, currency), known, currency=currency.upper(), currency_digits=False)
    # Where a currency has no sign of its own its code stands, and is not to be read as one with the number.
    return re.sub(r"(?<=[A-Za-z])(?=\d)", "\u00a0", written)
