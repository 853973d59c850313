"""Settings from a folder of files and from AWS: what goes before what, and errors that repeat no value."""

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError
from typer.testing import CliRunner

from serve.cli.main import app
from serve.settings import Settings, load
from serve.settings_errors import SettingsError, is_secret, variable

SHORT = "whsec_" + "hush" * 8


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith(("TROUPE_", "AWS_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = tmp_path / "secrets"
    made.mkdir()
    monkeypatch.setenv("TROUPE_SECRETS_DIR", str(made))
    return made


class Aws(ThreadingHTTPServer):
    """AWS' answer to GetSecretValue, whatever was asked: status and body."""

    status = 200
    body = b"{}"
    asked = 0

    def holds(self, text: str) -> None:
        self.status, self.body = 200, json.dumps({"Name": "shop", "SecretString": text}).encode()

    def refuses(self, code: str) -> None:
        self.status, self.body = 400, f'{{"__type": "{code}", "message": "no"}}'.encode()


class _Answering(BaseHTTPRequestHandler):
    server: Aws

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked += 1
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    with Aws(("127.0.0.1", 0), _Answering) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        for name, value in {"ACCESS_KEY_ID": "id", "SECRET_ACCESS_KEY": "key", "REGION": "eu-west-2"}.items():
            monkeypatch.setenv(f"AWS_{name}", value)
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-2")
        monkeypatch.setenv("TROUPE_SECRETS_AWS", "shop")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join(10)


def told() -> str:
    with pytest.raises(SettingsError) as caught:
        load()
    return str(caught.value)


def test_the_environment_goes_before_files_and_they_before_aws(
    folder: Path, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("SELLER_NAME", "SELLER_TAX_ID", "CURRENCY", "SELLER_POSTAL_ADDRESS", "LANGUAGE")
    aws.holds(json.dumps({f"TROUPE_{name}": "EUR" for name in names[:3]}))
    for name in names[:2]:
        (folder / f"TROUPE_{name}").write_text("file\n")
    Path(".env").write_text("TROUPE_SELLER_POSTAL_ADDRESS=dotenv\n")
    (folder / "troupe_seller_postal_address").write_text("file")
    monkeypatch.setenv("TROUPE_SELLER_NAME", "environment")
    found = load(language="de")
    assert [getattr(found, name.lower()) for name in names] == ["environment", "file", "EUR", "dotenv", "de"]


def test_every_secret_may_stand_in_a_file(folder: Path) -> None:
    secrets = [name for name, field in Settings.model_fields.items() if is_secret(field)]
    assert len(secrets) >= 12
    for name in secrets:
        (folder / variable(name)).mkdir()
        assert variable(name) in told()
        (folder / variable(name)).rmdir()


def test_files_are_taken_as_kubernetes_mounts_them(folder: Path) -> None:
    held = folder / "..2026_11_26"
    held.mkdir()
    (held / "TROUPE_CARRIER_SECRET").write_text("hush\n")
    (folder / "..data").symlink_to(held.name)
    (folder / "TROUPE_CARRIER_SECRET").symlink_to("..data/TROUPE_CARRIER_SECRET")
    (folder / "TROUPE_SERVICES").write_text('["users", "catalog"]')
    found = load()
    assert found.carrier_secret == SecretStr("hush")
    assert found.services == ("users", "catalog")
    assert "hush" not in repr(found)


def test_a_folder_that_is_not_there_is_named(folder: Path) -> None:
    folder.rmdir()
    assert told() == f"TROUPE_SECRETS_DIR={folder} cannot be read (No such file or directory): mount the secrets " + (
        "there, or unset it."
    )
    folder.touch()
    assert "Not a directory" in told()


def test_a_file_of_no_setting_is_noticed(folder: Path) -> None:
    (folder / "TROUPE_MYSQL_ADDRESS").write_text("hush")
    (folder / "TROUPE_CARIER_SECRET").write_text("hush")
    (folder / "another-programs").write_text("hush")
    assert told() == (
        "TROUPE_CARIER_SECRET is not a setting; did you mean TROUPE_CARRIER_SECRET?\n"
        "TROUPE_MYSQL_ADDRESS is not a setting; docs/settings.md has all that there are."
    )


def test_a_file_that_cannot_be_read_is_named_and_not_repeated(folder: Path, tmp_path: Path) -> None:
    file = folder / "TROUPE_CARRIER_SECRET"
    file.write_bytes(b"hush\xff\xfe")
    assert told() == f"TROUPE_CARRIER_SECRET: its file in {folder} cannot be read (no UTF-8)."
    file.unlink()
    (tmp_path / "elsewhere").write_text("hush")
    file.symlink_to(tmp_path / "elsewhere")
    assert told() == (
        f"TROUPE_CARRIER_SECRET: its file in {folder} cannot be read (it must be a file that lies in that folder)."
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "hush"),
        ("KAFKA_SERVERS", "user:hush@kafka"),
        ("TRUSTED_PROXIES", '["hush"]'),
        ("SHIPPING", "hush"),
        ("SHIPPING", '[{"method": "hush", "label": "A", "price": "hush"}]'),
        ("LANGUAGE", "hush"),
        ("CURRENCY", "hush"),
        ("MYSQL_URL", "postgres://user:hush@db/troupe"),
        ("MONGO_URL", "hush://user:hush@db"),
        ("STRIPE_SECRET_KEY", "pk_live_hush"),
        ("STRIPE_WEBHOOK_SECRETS", "hush"),
        ("SIGNING_KEY", "hush"),
        ("GUEST_SECRET", "hush"),
        ("SOCIAL", '[{"name": "hush", "kind": "hush", "client_id": "hush", "client_secret": "hush"}]'),
    ],
)
@pytest.mark.parametrize("place", ["folder", "aws"])
def test_what_is_wrong_is_named_and_not_repeated(
    place: str, name: str, value: str, request: pytest.FixtureRequest
) -> None:
    if place == "folder":
        (request.getfixturevalue("folder") / f"TROUPE_{name}").write_text(value)
    else:
        request.getfixturevalue("aws").holds(json.dumps({f"TROUPE_{name}": value}))
    text = told()
    assert f"TROUPE_{name}" in text
    assert "hush" not in text


def test_pydantics_own_error_repeats_nothing(folder: Path) -> None:
    (folder / "TROUPE_PORT").write_text("hush")
    with pytest.raises(ValidationError) as caught:
        Settings()
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ('{"Name": "shop", "SecretBinary": "aHVzaA=="}', "it is binary"),
        ('{"Name": "shop", "SecretString": "hush"}', "it is no JSON"),
        ('{"Name": "shop", "SecretString": "[\\"hush\\"]"}', "it is no JSON object"),
        ('{"Name": "shop", "SecretString": "{\\"MYSQL_URL\\": \\"hush\\"}"}', "no setting is in it"),
    ],
)
def test_a_secret_of_another_form_is_said_to_be_one(aws: Aws, body: str, reason: str) -> None:
    aws.status, aws.body = 200, body.encode()
    assert told() == f'TROUPE_SECRETS_AWS=shop cannot be used: {reason}; it must be {{"TROUPE_MYSQL_URL": "...", ...}}.'


def test_a_value_that_is_no_text_is_named(aws: Aws) -> None:
    aws.holds('{"TROUPE_HOSTS": 6, "TROUPE_CARRIER_SECRET": "hush"}')
    assert told() == 'TROUPE_SECRETS_AWS=shop cannot be used: TROUPE_HOSTS in it is no text; write "6", not 6.'
    aws.holds('{"TROUPE_CARIER_SECRET": "hush"}')
    assert told() == "TROUPE_CARIER_SECRET is not a setting; did you mean TROUPE_CARRIER_SECRET?"


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("ResourceNotFoundException", "look at the name, the account and the region (AWS_REGION)."),
        ("AccessDeniedException", "who starts the shop needs secretsmanager:GetSecretValue on it."),
        ("InvalidRequestException", "see AWS' own documentation."),
    ],
)
def test_a_refusal_of_aws_says_what_to_do(aws: Aws, code: str, advice: str) -> None:
    aws.refuses(code)
    assert told() == f"TROUPE_SECRETS_AWS=shop cannot be used: {code}; {advice}"


def test_without_a_region_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TROUPE_SECRETS_AWS", "shop")
    monkeypatch.setenv("AWS_CONFIG_FILE", "none")
    assert "You must specify a region; set AWS_REGION and credentials" in told()


def test_other_processes_of_the_shop_ask_nobody_again(aws: Aws, folder: Path) -> None:
    aws.holds(f'{{"TROUPE_STRIPE_WEBHOOK_SECRETS": "{SHORT}"}}')
    (folder / "TROUPE_CARRIER_SECRET").write_text("hush")
    settings = load()
    assert aws.asked == 1
    (folder / "TROUPE_CARRIER_SECRET").write_text("changed")
    assert Settings.unpacked(settings.packed()) == settings
    assert aws.asked == 1


def test_the_command_says_where_each_comes_from(aws: Aws, folder: Path) -> None:
    aws.holds(f'{{"TROUPE_STRIPE_WEBHOOK_SECRETS": "{SHORT}", "TROUPE_CARRIER_SECRET": "hush"}}')
    (folder / "TROUPE_CARRIER_SECRET").write_text("hush")
    told = CliRunner().invoke(app, ["settings"]).output
    lines = {line.split()[0]: line.split()[1:] for line in told.splitlines()}
    assert lines["TROUPE_CARRIER_SECRET"] == ["secret", "file", "secret", "(set)"]
    assert lines["TROUPE_STRIPE_WEBHOOK_SECRETS"] == ["AWS", "secret", "secret", "(set)"]
    assert lines["TROUPE_PORT"] == ["default", "8000"]
    assert "hush" not in told
