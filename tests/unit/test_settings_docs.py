"""The settings as texts, and what the production profile insists on."""

import os
from pathlib import Path
from typing import Any

import pytest
from dotenv import dotenv_values
from typer.testing import CliRunner

from serve import production, settings_docs
from serve.cli.main import app
from serve.gateway.keys import new_pem
from serve.preflight import CannotStart
from serve.settings import Settings, load
from serve.settings_errors import variable

LIVE, SIGNER = "sk_live_hush", "whsec_" + "hush" * 8
MAIL: Any = {"mail_url": "ses://eu-west-1", "mail_from": "shop@example.com"}
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("TROUPE_") or name == "RAY_AUTH_MODE":
            monkeypatch.delenv(name)


def test_the_documents_are_what_the_model_says() -> None:
    told = "make settings-docs writes it anew"
    assert (ROOT / settings_docs.DOCUMENT).read_text() == settings_docs.markdown(), told
    assert (ROOT / settings_docs.EXAMPLE).read_text() == settings_docs.example(), told


def test_the_example_is_a_file_of_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "".join(f"{line[1:]}\n" for line in settings_docs.example().splitlines() if line.startswith("#TROUPE_"))
    unset = {variable(name) for name, field in Settings.model_fields.items() if field.default is None}
    (tmp_path / ".env").write_text("".join(x for x in text.splitlines(True) if x.partition("=")[0] not in unset))
    assert set(dotenv_values(tmp_path / ".env")) | unset == {variable(name) for name in Settings.model_fields}
    monkeypatch.chdir(tmp_path)
    from_file = load()
    (tmp_path / ".env").unlink()
    assert from_file == load()


def test_the_command_shows_values_and_sources_and_no_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("TROUPE_CURRENCY=EUR\nTROUPE_GUEST_SECRET=" + "hush" * 10 + "\n")
    monkeypatch.setenv("TROUPE_PORT", "9000")
    monkeypatch.setenv("TROUPE_SIGNING_KEY", new_pem())
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "webhook.secret").write_text("hush")
    shown = CliRunner().invoke(app, ["settings", "--data", str(folder)])
    assert shown.exit_code == 0, shown.output
    lines = {line.split()[0]: line.split()[1:] for line in shown.output.splitlines()}
    assert lines["TROUPE_PORT"] == ["environment", "9000"]
    assert lines["TROUPE_CURRENCY"] == [".env", "file", "EUR"]
    assert lines["TROUPE_DATA_DIR"] == ["argument", str(folder)]
    assert lines["TROUPE_WEBHOOK_SECRET"] == ["data", "folder", "secret", "(set)"]
    assert lines["TROUPE_GUEST_SECRET"] == [".env", "file", "secret", "(set)"]
    assert lines["TROUPE_SIGNING_KEY"] == ["environment", "secret", "(set)"]
    assert lines["TROUPE_METRICS"] == ["default", "true"]
    assert len(lines) == len(Settings.model_fields)
    assert "hush" not in shown.output
    assert "PRIVATE KEY" not in shown.output


def test_a_bad_setting_ends_every_command_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TROUPE_PROT", "9000")
    ended = CliRunner().invoke(app, ["run"])
    assert (ended.exit_code, ended.output.strip()) == (2, "TROUPE_PROT is not a setting; did you mean TROUPE_PORT?")


def test_production_says_all_that_is_wrong_at_once() -> None:
    settings = load(profile="production", rate_limits=False, cors_origins=("http://shop.example.com",))
    with pytest.raises(CannotStart) as caught:
        production.check(settings, {"RAY_AUTH_MODE": "disabled"})
    told = str(caught.value).splitlines()[1:]
    assert [line.replace(":", " ").replace("=", " ").split()[0] for line in told] == [
        "TROUPE_STRIPE_SECRET_KEY",
        "TROUPE_MAIL_URL",
        "TROUPE_STRIPE_WEBHOOK_SECRETS",
        "TROUPE_SIGNING_KEY",
        "TROUPE_GUEST_SECRET",
        "TROUPE_PUBLIC_URL",
        "TROUPE_CORS_ORIGINS",
        "TROUPE_RATE_LIMITS",
        "RAY_AUTH_MODE",
    ]


def test_production_asks_for_nothing_more_than_it_says() -> None:
    keys = {"signing_key": new_pem(), "guest_secret": "s" * 32, "stripe_webhook_secrets": SIGNER}
    settings = load(profile="production", public_url="https://shop.example.com", stripe_secret_key=LIVE, **keys, **MAIL)
    production.check(settings, {"RAY_AUTH_MODE": "token"})


def test_production_takes_no_gateway_that_moves_nothing() -> None:
    keys = {"signing_key": new_pem(), "guest_secret": "s" * 32, "stripe_webhook_secrets": SIGNER}
    given: dict[str, Any] = {"profile": "production", "public_url": "https://shop.example.com", **keys, **MAIL}
    for_tests = load(stripe_secret_key="sk_test_abc", stripe_api_base="http://127.0.0.1:12111", **given)
    assert production.problems(for_tests, {}) == [
        "TROUPE_STRIPE_SECRET_KEY is a key for tests, which moves no money; it must be sk_live_ or rk_live_.",
        "TROUPE_STRIPE_API_BASE is set: that is for tests.",
    ]


def test_production_takes_no_mails_from_an_example() -> None:
    keys = {"signing_key": new_pem(), "guest_secret": "s" * 32, "stripe_webhook_secrets": SIGNER}
    given: dict[str, Any] = {"profile": "production", "public_url": "https://shop.example.com", **keys}
    settings = load(stripe_secret_key=LIVE, mail_url="ses://eu-west-1", **given)
    assert production.problems(settings, {}) == [
        "TROUPE_MAIL_FROM is not set: no mail server takes mails from an address that is an example."
    ]


def test_a_key_that_is_set_to_nothing_is_no_key() -> None:
    keys = {"signing_key": new_pem(), "guest_secret": "s" * 32, "stripe_webhook_secrets": ""}
    settings = load(profile="production", public_url="https://shop.example.com", stripe_secret_key=LIVE, **keys, **MAIL)
    assert [line.partition(" ")[0] for line in production.problems(settings, {})] == ["TROUPE_STRIPE_WEBHOOK_SECRETS"]


def test_the_embedded_profile_starts_with_its_defaults() -> None:
    production.check(load(), {})


def test_production_is_refused_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TROUPE_PROFILE", "production")
    ended = CliRunner().invoke(app, ["run", "--data", str(tmp_path / "data")])
    assert ended.exit_code == 1
    assert "TROUPE_STRIPE_SECRET_KEY is not set" in ended.output
    assert not (tmp_path / "data").exists()
