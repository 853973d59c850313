"""Settings: defaults, texts about bad values, and the way to our own processes."""

import os
from pathlib import Path

import pytest

from actors.pricing import Shipping, Terms
from serve.settings import Settings, SettingsError, load, misspelt


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("TROUPE_"):
            monkeypatch.delenv(name)


def test_the_defaults_run_a_shop() -> None:
    settings = load()
    assert (settings.port, settings.currency, settings.tax_rate_bp) == (8000, "GBP", 2000)
    assert (settings.url, settings.data_dir) == ("http://127.0.0.1:8000", Path.cwd() / "data")
    assert settings.mails == settings.data_dir / "mail"
    assert settings.database("users") == settings.data_dir / "users.db"
    assert settings.terms("standard") == Terms("GBP", 2000, True, Shipping("standard", "Standard delivery", 495, 5000))
    assert settings.terms("pickup") == Terms("GBP", 2000, True, Shipping("pickup", "Pick up in the shop", 0))
    assert settings.terms("teleport") is None


def test_the_environment_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TROUPE_PORT", "9000")
    monkeypatch.setenv("TROUPE_PUBLIC_URL", "https://shop.example.com/")
    monkeypatch.setenv("TROUPE_SHIPPING", '[{"method": "mule", "label": "By mule", "price": 1}]')
    monkeypatch.setenv("TROUPE_TRUSTED_PROXIES", '["10.0.0.0/8"]')
    settings = load()
    assert (settings.port, settings.url) == (9000, "https://shop.example.com")
    assert [way.method for way in settings.shipping] == ["mule"]
    assert settings.trusted_proxies == ("10.0.0.0/8",)
    assert load(port=9001).port == 9001


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("PORT", "abc", "TROUPE_PORT=abc: should be a valid integer"),
        ("PORT", "70000", "TROUPE_PORT=70000: should be less than or equal to 65535 (the port to listen at)."),
        ("CURRENCY", "pounds", "an ISO 4217 code such as GBP"),
        ("ACCESS_TOKEN_SECONDS", "3600", "TROUPE_ACCESS_TOKEN_SECONDS=3600: should be less than or equal to 300"),
        ("SHIPPING", "[x", "TROUPE_SHIPPING: not JSON"),
        ("SHIPPING", "[]", "at least 1 item"),
        ("SHIPPING", '[{"method": "a", "label": "A", "price": -1}]', "TROUPE_SHIPPING[0][price]: should be greater"),
        ("SHIPPING", '[{"method":"a","label":"A","price":1},{"method":"a","label":"B","price":1}]', "the same method"),
        ("TRUSTED_PROXIES", '["nonsense"]', "'nonsense' does not appear to be an IPv4 or IPv6 network"),
        ("RATE_BURST", "99999999", "the limit would hardly limit"),
        ("LOG_LEVEL", "loud", "'debug', 'info', 'warning' or 'error'"),
    ],
)
def test_bad_values_are_explained(monkeypatch: pytest.MonkeyPatch, name: str, value: str, text: str) -> None:
    monkeypatch.setenv(f"TROUPE_{name}", value)
    with pytest.raises(SettingsError) as caught:
        load()
    assert text in str(caught.value)


def test_all_that_is_wrong_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TROUPE_PORT", "abc")
    monkeypatch.setenv("TROUPE_SHARDS", "0")
    with pytest.raises(SettingsError) as caught:
        load()
    assert [line.partition("=")[0] for line in str(caught.value).splitlines()] == ["TROUPE_PORT", "TROUPE_SHARDS"]


def test_secrets_are_not_shown_but_are_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(webhook_secret="hush hush hush", trusted_proxies=("10.0.0.0/8",), mail_dir="/tmp/mail", port=9000)
    assert "hush" not in repr(settings)
    packed = settings.packed()
    assert packed["TROUPE_WEBHOOK_SECRET"] == "hush hush hush"
    assert all(name.startswith("TROUPE_") for name in packed)
    monkeypatch.setenv("TROUPE_PORT", "1234")
    monkeypatch.setenv("TROUPE_OTLP_ENDPOINT", "http://elsewhere")
    unpacked = Settings.unpacked({**packed, "PATH": "/bin"})
    assert unpacked == settings
    assert unpacked.otlp_endpoint is None


def test_every_setting_survives_packing() -> None:
    given = load()
    assert Settings.unpacked(given.packed()).model_dump() == given.model_dump()


def test_every_setting_says_what_it_is_for() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_a_misspelt_name_is_noticed() -> None:
    assert misspelt(["TROUPE_PROT", "TROUPE_PORT", "PATH", "TROUPE_MYSQL_ADDRESS"]) == [
        "TROUPE_PROT is not a setting; did you mean TROUPE_PORT?"
    ]
