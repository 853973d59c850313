"""Texts, money and dates in the languages of mails: nothing is left untranslated, and no amount changes."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from serve.notifications import texts
from serve.notifications.kinds import RULES, Kind
from serve.notifications.languages import EXPONENTS, Language, accepted, day, moment, money, supported

FOLDER = Path(texts.__file__).parent
METHODS = [("**.py", "python"), ("templates/**", "jinja2")]
OPTIONS = {"templates/**": {"trimmed": "true", "newstyle_gettext": "true", "silent": "false"}}
PLACES = re.compile(r"%\(\w+\)s|\{\w+\}")


def written() -> Iterator[str]:
    """Every text that the sources have for translators."""
    for _, _, text, _, _ in extract_from_dir(FOLDER, METHODS, OPTIONS, keywords={"_": None, "gettext": None}):
        assert isinstance(text, str)
        yield text


def test_every_text_has_its_german_and_the_german_no_other() -> None:
    with (FOLDER / "translations/de.po").open("rb") as file:
        known = {str(message.id): str(message.string) for message in read_po(file, locale="de") if message.id}
    assert set(written()) == known.keys()
    assert [text for text, german in known.items() if not german or german == text] == []
    for text, german in known.items():
        assert sorted(PLACES.findall(german)) == sorted(PLACES.findall(text))


def test_every_kind_has_its_texts() -> None:
    assert texts.SUBJECTS.keys() == texts.LABELS.keys() == RULES.keys()
    assert texts.NOTICES.keys() == {kind for kind, rule in RULES.items() if "notice" in rule.channels}


@pytest.mark.parametrize(
    ("amount", "currency", "english", "german"),
    [
        (5, "EUR", "€0.05", "0,05\xa0€"),
        (-1999, "EUR", "-€19.99", "-19,99\xa0€"),
        (123_456_789, "GBP", "£1,234,567.89", "1.234.567,89\xa0£"),
        (7, "JPY", "JP¥7", "7\xa0¥"),
        (1, "KWD", "KWD\xa00.001", "0,001\xa0KWD"),
        # Babel shows Iraqi dinars without decimals; its minor units are thousandths all the same.
        (1_500, "IQD", "IQD\xa01.500", "1,500\xa0IQD"),
        (12_345, "CLF", "CLF\xa01.2345", "1,2345\xa0CLF"),
        (10**15, "EUR", "€10,000,000,000,000.00", "10.000.000.000.000,00\xa0€"),
    ],
)
def test_money_has_the_digits_of_its_currency(amount: int, currency: str, english: str, german: str) -> None:
    assert (money(amount, currency, "en"), money(amount, currency, "de")) == (english, german)


def test_days_and_moments() -> None:
    assert (day(0, "en"), day(0, "de")) == ("1 January 1970", "1. Januar 1970")
    at = 1_772_000_000_000
    assert (moment(at, "en"), moment(at, "de")) == ("25 February 2026, 06:13 UTC", "25. Februar 2026, 06:13 UTC")


def test_exponents_are_those_of_iso_4217() -> None:
    assert (EXPONENTS["JPY"], EXPONENTS["BHD"], EXPONENTS["UYW"], EXPONENTS.get("EUR")) == (0, 3, 4, None)


@pytest.mark.parametrize(
    ("tag", "language"),
    [("de", "de"), ("de-AT", "de"), ("DE_ch", "de"), ("en-US", "en"), ("fr", "de"), ("", "de"), (None, "de")],
)
def test_a_language_tag_means_a_language_that_we_write(tag: str | None, language: Language) -> None:
    assert supported(tag, "de") == language


@pytest.mark.parametrize(
    ("header", "language"),
    [
        (None, "en"),
        ("de", "de"),
        ("fr-FR, de-DE;q=0.8, en;q=0.5", "de"),
        ("de;q=0.1,en-GB;q=0.9", "en"),
        ("de;q=0, en;q=0", "en"),
        ("de;q=x", "en"),
        ("de; q=0.5", "de"),
        (",,;;=", "en"),
        ("*", "en"),
    ],
)
def test_what_a_browser_asks_for(header: str | None, language: Language) -> None:
    assert accepted(header, "en") == language


@pytest.mark.parametrize("kind", [kind for kind in RULES if "notice" in RULES[kind].channels])
def test_every_notice_reads_in_both_languages(kind: Kind) -> None:
    facts = {"at": 0, "paid": 2999, "amount": 500, "carrier": "DHL {x}", "tracking": "T1", "reason": "deadline"}
    facts["provider"] = "google"
    english, german = (texts.notice(kind, "0199-0b5a4c1e7f10", facts, "EUR", one) for one in get_args(Language))
    assert english.title != german.title
    assert english.text != german.text
    assert not PLACES.search((english.text + german.text).replace("DHL {x}", ""))


def test_what_notices_say() -> None:
    said = texts.notice("receipt", "0199-0b5a4c1e7f10", {"paid": 2999, "at": 0}, "EUR", "en")
    assert said == ("Receipt for your order 0B5A4C1E7F10", "We received €29.99 on 1 January 1970.")
    unknown = texts.notice("order_cancelled", "0199-0b5a4c1e7f10", {"reason": "?"}, "EUR", "en")
    assert unknown.text == "Whatever you had paid for it goes back to you."
    failed = texts.notice("payment_failed", "0199-0b5a4c1e7f10", {"code": "?"}, "EUR", "en")
    assert failed.text.startswith("The payment was not accepted. Nothing was charged.")
