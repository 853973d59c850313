"""Every client of Kafka gets what the settings say of TLS and of who we are."""

import ssl
from typing import Any

import pytest

from pipelines.log import kafka, publishing, topics
from pipelines.log.cloud_events import KafkaAccess, KafkaCluster
from serve.event_logs import cluster_of
from serve.settings import load
from serve.settings_errors import SettingsError
from tests.unit.test_cloud_events import HAPPENED

CLUSTER = cluster_of(load(kafka_servers="k:9093", kafka_tls=True, kafka_user="troupe", kafka_password="hush"))


class _Refused(Exception):
    pass


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What clients were made with; none is made."""
    made: list[dict[str, Any]] = []

    def client(**options: Any) -> None:
        made.append(options)
        raise _Refused

    for module, name in (
        (kafka, "AIOKafkaConsumer"),
        (publishing, "AIOKafkaProducer"),
        (topics, "AIOKafkaAdminClient"),
    ):
        monkeypatch.setattr(module, name, client)
    return made


async def test_every_client_is_told(given: list[dict[str, Any]]) -> None:
    with pytest.raises(_Refused):
        kafka.consumer_of(CLUSTER)
    with pytest.raises(_Refused):
        await publishing.KafkaPublisher(CLUSTER).tell([HAPPENED])
    with pytest.raises(_Refused):
        await topics.make_topics(CLUSTER, 1, 1, lambda _: None)
    with pytest.raises(_Refused):
        await topics.partitions_of(CLUSTER, ["cart"])
    assert len(given) == 4
    for options in given:
        assert options["security_protocol"] == "SASL_SSL"
        assert options["sasl_mechanism"] == "SCRAM-SHA-512"
        assert (options["sasl_plain_username"], options["sasl_plain_password"]) == ("troupe", "hush")
        context = options["ssl_context"]
        assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


@pytest.mark.parametrize(
    ("access", "protocol"),
    [
        (KafkaAccess(), "PLAINTEXT"),
        (KafkaAccess(ssl.create_default_context()), "SSL"),
        (KafkaAccess(user="u", password="p"), "SASL_PLAINTEXT"),
    ],
)
def test_what_is_not_set_is_not_said(access: KafkaAccess, protocol: str) -> None:
    options = access.options()
    assert options["security_protocol"] == protocol
    assert ("ssl_context" in options, "sasl_mechanism" in options) == (access.tls is not None, bool(access.user))


def test_the_password_is_shown_nowhere() -> None:
    assert "hush" not in repr(CLUSTER)
    assert "hush" not in repr(load(kafka_user="troupe", kafka_password="hush"))
    assert KafkaCluster("k:9092").access == KafkaAccess()


def test_a_user_has_a_password() -> None:
    with pytest.raises(SettingsError, match="together"):
        load(kafka_user="troupe")
