"""Amounts by the digits of their currency."""

import pytest

from serve.money import decimal, localised, plain


@pytest.mark.parametrize(
    ("amount", "currency", "expected", "english", "german"),
    [
        (1999, "EUR", "19.99 EUR", "€19.99", "19,99\u00a0€"),
        (5, "GBP", "0.05 GBP", "£0.05", "0,05\u00a0£"),
        (0, "EUR", "0.00 EUR", "€0.00", "0,00\u00a0€"),
        (-1250, "EUR", "-12.50 EUR", "-€12.50", "-12,50\u00a0€"),
        (123456, "JPY", "123456 JPY", "¥123,456", "123.456\u00a0¥"),
        (1999, "KWD", "1.999 KWD", "KWD\u00a01.999", "1,999\u00a0KWD"),
        (12345, "CLF", "1.2345 CLF", "CLF\u00a01.2345", "1,2345\u00a0CLF"),
        (100, "HUF", "1.00 HUF", "HUF\u00a01.00", "1,00\u00a0HUF"),
        (10**15 + 1, "USD", "10000000000000.01 USD", "$10,000,000,000,000.01", "10.000.000.000.000,01\u00a0$"),
    ],
)
def test_amounts(amount: int, currency: str, expected: str, english: str, german: str) -> None:
    assert plain(amount, currency) == expected
    assert localised(amount, currency) == english
    assert localised(amount, currency, "de") == german
    assert str(decimal(amount, currency)) in expected
