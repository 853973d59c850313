"""deploy/compose.yaml and the Dockerfile, as far as they can be checked without containers."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from serve.settings import Settings, load

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
SCHEMA = ROOT / "tests/unit/data/compose-spec.json"
# As published: github.com/compose-spec/compose-go/v2 2.16.2.
SCHEMA_SHA256 = "f266dcbb043229405d7cedd5aec918f9102c2b3d5e3850808fdd8edd564a43ff"
ONCE = {"setup", "mongo-set"}
SERVERS = {"mysql", "mongo", "redis", "kafka", "elasticsearch"}
MAY_BE_EMPTY = {"STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRETS"}
VARIABLE = re.compile(r"(?<!\$)\$\{(\w+):?\?\}")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return read


@pytest.fixture(scope="module")
def example() -> dict[str, str]:
    text = (DEPLOY / "compose.env.example").read_text()
    return dict(re.findall(r"^(\w+)=(.*)$", text, flags=re.MULTILINE))


def checked(document: Any) -> None:
    """Raises jsonschema.ValidationError."""
    jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text())).validate(document)


def test_the_specification_takes_it(compose: dict[str, Any]) -> None:
    assert hashlib.sha256(SCHEMA.read_bytes()).hexdigest() == SCHEMA_SHA256
    checked(compose)


@pytest.mark.parametrize(
    ("service", "part"),
    [("shop", {"replicas": 2}), ("mysql", {"depends_on": {"redis": {"condition": "up"}}}), ("kafka", {"image": 4})],
)
def test_the_specification_refuses_what_it_does_not_know(
    compose: dict[str, Any], service: str, part: dict[str, Any]
) -> None:
    services = {**compose["services"], service: {**compose["services"][service], **part}}
    with pytest.raises(jsonschema.ValidationError):
        checked({**compose, "services": services})


def test_it_has_what_a_shop_needs_and_says_when_it_is_ready(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert set(services) == SERVERS | ONCE | {"shop"}
    volumes = {name: [one.partition(":")[0] for one in services[name].get("volumes", ())] for name in services}
    for name in SERVERS:
        assert "test" in services[name]["healthcheck"], name
        assert name in volumes[name]
        assert services[name]["restart"] == "unless-stopped"
    assert set(compose["volumes"]) == SERVERS | {"shop"}
    for name in services:
        for target, wanted in services[name].get("depends_on", {}).items():
            expected = "service_completed_successfully" if target in ONCE else "service_healthy"
            assert (name, target, wanted["condition"]) == (name, target, expected)
    assert set(services["setup"]["depends_on"]) == (SERVERS - {"mongo"}) | {"mongo-set"}
    assert "setup" in services["shop"]["depends_on"]


def test_images_have_versions(compose: dict[str, Any]) -> None:
    images = {service["image"] for service in compose["services"].values()}
    assert images == {
        "mysql:8.4",
        "mongo:7",
        "redis:7",
        "apache/kafka:4.0.0",
        "docker.elastic.co/elasticsearch/elasticsearch:8.19.0",
        "troupe",
    }


def test_nothing_is_open_to_the_world(compose: dict[str, Any]) -> None:
    ports = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}
    assert ports == {"shop": ["127.0.0.1:8000:8000"]}


def test_every_secret_is_given_and_none_is_written_down(example: dict[str, str]) -> None:
    text = (DEPLOY / "compose.yaml").read_text()
    assert set(VARIABLE.findall(text)) == set(example)
    assert {name for name, value in example.items() if not value} == MAY_BE_EMPTY
    for name in example.keys() - MAY_BE_EMPTY:
        if name.endswith(("PASSWORD", "KEY")):
            assert example[name].startswith("change-me-")
    # Whatever else has a dollar is the container's own, or would be given silently as nothing.
    assert re.findall(r"(?<!\$)\$(?!\$|\{\w+:?\?\})", text) == []


def test_its_settings_are_settings(compose: dict[str, Any], example: dict[str, str]) -> None:
    environment = compose["services"]["shop"]["environment"]
    given = {name: VARIABLE.sub(lambda found: example[found[1]], value) for name, value in environment.items()}
    assert compose["services"]["setup"]["environment"] == environment
    names = {name.removeprefix("TROUPE_").lower(): value for name, value in given.items()}
    assert set(names) <= set(Settings.model_fields)
    settings = load(**names)
    assert settings.kafka_replication == 1
    for name in SERVERS - {"kafka"}:
        url = getattr(settings, f"{name}_url").get_secret_value()
        assert f"@{name}:" in url


def test_what_it_mounts_and_builds_from_is_there(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for one in service.get("volumes", ()):
            source = one.partition(":")[0]
            assert not source.startswith(".") or (DEPLOY / source).exists(), source
    build = compose["services"]["shop"]["build"]
    assert (DEPLOY / build["context"] / build["dockerfile"]).resolve() == DEPLOY / "Dockerfile"


def test_the_image_is_made_of_what_is_there_with_hashes_and_for_nobody_special() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    copied = re.findall(r"^COPY (?!--)(.+) \S+$", text, flags=re.MULTILINE)
    sources = {name for line in copied for name in line.split()}
    assert [name for name in sources if not (ROOT / name).exists()] == []
    wanted = re.findall(r"^!(.+)$", (DEPLOY / "Dockerfile.dockerignore").read_text(), flags=re.MULTILINE)
    assert set(wanted) == sources
    assert set(re.findall(r"^FROM (\S+)", text, flags=re.MULTILINE)) == {"python:3.11-slim"}
    assert "--require-hashes" in text
    assert re.findall(r"^USER (.+)$", text, flags=re.MULTILINE) == ["troupe"]
    assert "HEALTHCHECK" in text
    assert 'ENTRYPOINT ["tini", "--", "troupe"]' in text
