"""Settings: defaults, texts about bad values, and the way to our own processes."""

import os
from pathlib import Path

import pytest

from actors.pricing import Shipping, Terms
from serve.gateway.keys import new_pem
from serve.gateway.problems import Problem
from serve.gateway.tokens import Tokens
from serve.kept_secrets import keys_of
from serve.settings import Settings, load
from serve.settings_errors import SettingsError, unknown
from serve.users.store import open_engine


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
        ("SERVICES", '["users", "users"]', "a service is named twice"),
        ("SERVICES", '["shop"]', "TROUPE_SERVICES[0]: should be 'users', 'catalog'"),
        ("CORS_ORIGINS", '["https://shop.example.com/"]', "is no origin such as https://shop.example.com"),
        ("CORS_ORIGINS", '["*"]', "is no origin"),
        ("LOG_LEVEL", "loud", "'debug', 'info', 'warning' or 'error'"),
        ("KAFKA_PREFIX", "-second", "TROUPE_KAFKA_PREFIX=-second: String should match pattern"),
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


def test_a_name_that_is_no_setting_is_noticed() -> None:
    names = ["TROUPE_PROT", "troupe_port", "PATH", "TROUPE_MYSQL_ADDRESS", "TROUPE_RUN", "TROUPE_TEST_INVOICES"]
    assert unknown(Settings, names) == [
        "TROUPE_MYSQL_ADDRESS is not a setting; docs/settings.md has all that there are.",
        "TROUPE_PROT is not a setting; did you mean TROUPE_PORT?",
    ]


def test_a_name_that_is_no_setting_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TROUPE_PROT", "9000")
    monkeypatch.setenv("TROUPE_SHARDS", "0")
    with pytest.raises(SettingsError) as caught:
        load()
    assert [line.partition(" ")[0] for line in str(caught.value).splitlines()] == ["TROUPE_PROT", "TROUPE_SHARDS=0:"]


def test_the_file_counts_after_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("TROUPE_PORT=9000\nTROUPE_CURRENCY=EUR\nOTHER=1\n")
    monkeypatch.setenv("TROUPE_PORT", "9001")
    settings = load(hosts=2)
    assert (settings.port, settings.currency, settings.hosts) == (9001, "EUR", 2)
    # Our own processes do not look at it.
    assert Settings.unpacked({"TROUPE_PORT": "1"}).currency == "GBP"
    (tmp_path / ".env").write_text("TROUPE_CURENCY=EUR\n")
    with pytest.raises(SettingsError, match=r"TROUPE_CURENCY is not a setting; did you mean TROUPE_CURRENCY\?"):
        load()


def test_keys_are_given_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    good = new_pem()
    with pytest.raises(SettingsError, match="are given together or not at all"):
        load(signing_key=good)
    with pytest.raises(SettingsError) as caught:
        load(signing_key="hush", guest_secret="hush" * 10)
    assert "TROUPE_SIGNING_KEY: not a private key in PEM" in str(caught.value)
    assert "hush" not in str(caught.value)
    monkeypatch.setenv("TROUPE_SIGNING_KEY", good.replace("\n", "\\n"))
    monkeypatch.setenv("TROUPE_GUEST_SECRET", "s" * 32)
    settings = load()
    assert settings.signing_key is not None
    assert settings.signing_key.get_secret_value() == good
    assert Settings.unpacked(settings.packed()) == settings


async def test_given_keys_sign_and_are_published(tmp_path: Path) -> None:
    old, new = new_pem(), new_pem()
    engine = open_engine(tmp_path / "users.db")
    try:
        before = Tokens(keys_of(load(signing_key=old, guest_secret="s" * 32), engine))
        token = await before.access("ada", ("staff",), "s-1")
        guest = await before.guest("g-1")
        keys = keys_of(load(signing_key=new + old, guest_secret="s" * 32), engine)
        after = Tokens(keys)
        assert (await after.verify(token)).id == "ada"
        assert (await after.verify(guest)).id == "g-1"
        ring = await keys.ring()
        assert next(key["kid"] for key in ring.jwks["keys"]) == ring.kid
        assert len(ring.jwks["keys"]) == 2
        with pytest.raises(Problem, match="not one of ours"):
            await Tokens(keys_of(load(signing_key=new, guest_secret="t" * 32), engine)).verify(token)
    finally:
        engine.dispose()


def test_stripes_keys_and_secrets_look_like_them() -> None:
    good = load(
        stripe_secret_key="rk_live_abc", stripe_webhook_secrets="whsec_0123456789abcdef, whsec_fedcba9876543210"
    )
    assert good.stripe_signers == ("whsec_0123456789abcdef", "whsec_fedcba9876543210")
    assert load(stripe_secret_key="", stripe_webhook_secrets="").stripe_signers == ()
    for wrong in (
        {"stripe_secret_key": "pk_live_hush"},
        {"stripe_secret_key": "sk_test_a", "stripe_webhook_secrets": "whsec_hush,"},
        {"stripe_secret_key": "sk_test_a", "stripe_api_base": "http://user:hush@127.0.0.1"},
        {"stripe_api_base": "http://127.0.0.1:12111"},
    ):
        with pytest.raises(SettingsError) as caught:
            load(**wrong)
        assert "TROUPE_STRIPE" in str(caught.value)
    assert "abc" not in repr(good)
