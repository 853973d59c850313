"""The languages that people are written to in: texts, money and dates."""

import gettext
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from importlib.resources import files
from io import BytesIO
from typing import Literal, TypeAlias, get_args

from babel import Locale
from babel.dates import format_date, format_datetime
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import NumberPattern, get_currency_symbol, parse_pattern

Language: TypeAlias = Literal["en", "de"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
_LOCALES: dict[Language, str] = {"en": "en_GB", "de": "de_DE"}
_SOURCE: Language = "en"
"""The language that the texts are written in; each other one has a file of translations."""

_NOT_TWO_DIGITS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
# By ISO 4217. Babel's own digits are for display, and differ: minor units counted by them would be other amounts.
EXPONENTS = {currency: digits for digits, currencies in _NOT_TWO_DIGITS.items() for currency in currencies.split()}


def supported(wanted: str | None, default: Language) -> Language:
    """The language for a language tag: `de` for "de-AT"; `default` for one that we don't write, or none."""
    primary = (wanted or "").replace("_", "-").partition("-")[0].lower()
    return primary if primary in LANGUAGES else default


def accepted(header: str | None, default: Language) -> Language:
    """The language that an Accept-Language header likes best of those that we write."""
    best, weight = default, 0.0
    for part in (header or "").split(",")[:20]:
        tag, _, parameters = part.partition(";")
        primary = tag.strip().partition("-")[0].lower()
        if primary in LANGUAGES and (liked := _weight(parameters)) > weight:
            best, weight = primary, liked
    return best


def _weight(parameters: str) -> float:
    name, _, value = parameters.strip().partition("=")
    if name.strip().lower() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0


@lru_cache(maxsize=len(LANGUAGES))
def translations(language: Language) -> gettext.NullTranslations:
    """The texts of a language, by the English ones."""
    if language == _SOURCE:
        return gettext.NullTranslations()
    compiled = BytesIO()
    with (files("serve.notifications") / "translations" / f"{language}.po").open("rb") as file:
        write_mo(compiled, read_po(file, locale=language))
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


def to_translate(text: str) -> str:
    """Marks a text for the translators where it is only named; it is translated where it is used."""
    return text


def translator(language: Language) -> Callable[[str], str]:
    return translations(language).gettext


@lru_cache(maxsize=len(LANGUAGES))
def _locale(language: Language) -> Locale:
    return Locale.parse(_LOCALES[language])


@lru_cache(maxsize=64)
def _pattern(currency: str, language: Language) -> NumberPattern:
    digits = EXPONENTS.get(currency, 2)
    text = _locale(language).currency_formats["standard"].pattern
    if get_currency_symbol(currency, _locale(language))[-1].isalpha():
        text = text.replace("¤#", "¤\xa0#")  # KWD 1.000, as $1.00
    pattern = parse_pattern(text)
    pattern.frac_prec = (digits, digits)
    return pattern


# Prices, dates and shipping costs come again and again, twice in each mail alone, and babel takes its time.
@lru_cache(maxsize=8192)
def money(amount: int, currency: str, language: Language) -> str:
    """Minor units as people write them: 1999, "EUR" -> "€19.99", in German "19,99 €" with a space that stays."""
    value = Decimal(amount).scaleb(-EXPONENTS.get(currency, 2))
    return str(_pattern(currency, language).apply(value, _locale(language), currency=currency, currency_digits=False))


def day(at: int, language: Language) -> str:
    """UTC milliseconds -> "3 March 2026"."""
    return _day(at // 86_400_000, language)


@lru_cache(maxsize=512)
def _day(days: int, language: Language) -> str:
    return str(format_date(datetime.fromtimestamp(days * 86_400, UTC).date(), "long", _locale(language)))


def moment(at: int, language: Language) -> str:
    """UTC milliseconds -> "3 March 2026, 14:05 UTC"."""
    when = datetime.fromtimestamp(at / 1000, UTC)
    return f"{day(at, language)}, {format_datetime(when, 'HH:mm', locale=_locale(language))} UTC"
