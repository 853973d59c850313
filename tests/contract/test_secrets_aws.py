"""Settings out of AWS Secrets Manager, as far as moto is it."""

import json
import os
import secrets

import boto3
import pytest

from serve.settings import load
from serve.settings_errors import SettingsError
from tests.servers import address

pytestmark = pytest.mark.servers


@pytest.fixture(autouse=True)
def _moto(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("AWS_") or (name.startswith("TROUPE_") and not name.startswith("TROUPE_TEST_")):
            monkeypatch.delenv(name)
    given = {"ENDPOINT_URL": address("MOTO"), "DEFAULT_REGION": "eu-west-2", "ACCESS_KEY_ID": "id"}
    for name, value in {**given, "SECRET_ACCESS_KEY": "key"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)


def test_a_secret_is_found_by_name_and_by_arn_and_its_newest_version_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    client = boto3.client("secretsmanager")
    name = f"shop-{secrets.token_hex(4)}"
    made = client.create_secret(
        Name=name, SecretString=json.dumps({"TROUPE_CARRIER_SECRET": "old", "TROUPE_PORT": "81"})
    )
    for one in (name, made["ARN"]):
        monkeypatch.setenv("TROUPE_SECRETS_AWS", one)
        found = load()
        assert found.carrier_secret is not None
        assert (found.carrier_secret.get_secret_value(), found.port) == ("old", 81)
    client.put_secret_value(SecretId=name, SecretString=json.dumps({"TROUPE_CARRIER_SECRET": "new"}))
    found = load()
    assert found.carrier_secret is not None
    assert (found.carrier_secret.get_secret_value(), found.port) == ("new", 8000)


def test_a_secret_that_is_not_there_or_binary_is_said_to_be_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TROUPE_SECRETS_AWS", "nobody's")
    with pytest.raises(SettingsError, match="ResourceNotFoundException; look at the name"):
        load()
    name = f"shop-{secrets.token_hex(4)}"
    boto3.client("secretsmanager").create_secret(Name=name, SecretBinary=b"hush")
    monkeypatch.setenv("TROUPE_SECRETS_AWS", name)
    with pytest.raises(SettingsError) as caught:
        load()
    assert "it is binary" in str(caught.value)
    assert "hush" not in str(caught.value)
