"""What the libraries are told of TLS: whom they believe. On real servers: tests/contract/test_tls.py."""

import ssl
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pymysql
import pytest
from pymongo.uri_parser import parse_uri
from redis.asyncio.connection import parse_url
from sqlalchemy import create_engine

from serve.catalog.search.choosing import access_of
from serve.event_logs import cluster_of
from serve.settings import Settings, load
from serve.settings_errors import SettingsError
from tests.contract.certificates import Authority, Pair

MYSQL = "mysql+pymysql://u:hush@db/troupe"
MONGO = {"mongo_url": "mongodb://u:hush@m1,m2/troupe?replicaSet=rs0", "kafka_servers": "k:9093"}


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


@pytest.fixture
def ours(authority: Authority) -> Pair:
    return authority.issue("ours")


def in_pymysql(settings: Settings) -> ssl.SSLContext:
    """What PyMySQL makes of the address; it insists on TLS."""
    engine = create_engine(settings.database_url("users"))
    _, options = engine.dialect.create_connect_args(engine.url)
    connection: Any = pymysql.Connection(**options, defer_connect=True)
    assert connection._ssl_required
    context: ssl.SSLContext = connection.ctx
    return context


def believes(context: ssl.SSLContext) -> list[str]:
    """The serial numbers of its authorities; it checks certificate and name."""
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    return [str(one["serialNumber"]) for one in context.get_ca_certs()]


@pytest.mark.parametrize("more", ["", "&ssl_verify_cert=true&ssl_verify_identity=true", "&ssl_verify_identity=true"])
def test_mysql_believes_the_authority_of_its_address_alone(authority: Authority, more: str) -> None:
    """PyMySQL by itself forgets it over the others, and then checks no name."""
    own = believes(in_pymysql(load(mysql_url=f"{MYSQL}?ssl_ca={authority.file}{more}")))
    assert own == believes(ssl.create_default_context(cafile=authority.file))


def test_an_address_that_would_check_against_nobody_is_refused() -> None:
    with pytest.raises(SettingsError) as caught:
        load(mysql_url=f"{MYSQL}?ssl_verify_cert=true")
    assert str(caught.value) == (
        "TROUPE_MYSQL_URL: ssl_verify_cert needs ssl_ca=, or TROUPE_TLS_CA: nothing says which authorities are believed"
    )


def test_one_setting_is_for_all_servers(authority: Authority, ours: Pair) -> None:
    own = believes(ssl.create_default_context(cafile=authority.file))
    settings = load(
        tls_ca=authority.file,
        tls_certificate=ours.both,
        mysql_url=MYSQL,
        redis_url="rediss://:hush@r:6379/0",
        elasticsearch_url="https://e:9200",
        **MONGO,
    )
    assert believes(in_pymysql(settings)) == own
    assert settings.mongo_address is not None
    assert settings.redis_address is not None
    mongo = parse_uri(settings.mongo_address)["options"]
    assert (mongo["tls"], mongo["tlsCAFile"], mongo["replicaSet"]) == (True, str(authority.file), "rs0")
    assert mongo["tlsCertificateKeyFile"] == str(ours.both)
    redis: Any = parse_url(settings.redis_address)
    assert (redis["ssl_ca_certs"], redis["ssl_check_hostname"]) == (str(authority.file), True)
    assert (redis["ssl_certfile"], redis["ssl_keyfile"], redis["password"]) == (str(ours.both), str(ours.both), "hush")
    kafka = cluster_of(settings).access.options()
    assert kafka["security_protocol"] == "SSL"
    assert believes(kafka["ssl_context"]) == own
    access = access_of(settings)
    assert access is not None
    assert access.tls is not None
    assert believes(access.tls.context()) == own


def test_what_an_address_says_itself_goes_before_it(authority: Authority, tmp_path: Path) -> None:
    another = Authority(tmp_path / "another").file
    settings = load(
        tls_ca=authority.file,
        mysql_url=f"{MYSQL}?ssl_ca={another}",
        redis_url=f"rediss://r?ssl_ca_certs={another}",
        **{**MONGO, "mongo_url": f"mongodb://m1?tlsCAFile={another}&replicaSet=rs0"},
    )
    assert believes(in_pymysql(settings)) == believes(ssl.create_default_context(cafile=another))
    assert parse_uri(str(settings.mongo_address))["options"]["tlsCAFile"] == str(another)
    assert parse_qs(urlsplit(str(settings.redis_address)).query)["ssl_ca_certs"] == [str(another)]


def test_without_it_addresses_stay_as_they_are() -> None:
    settings = load(mysql_url=MYSQL, redis_url="redis://r", **MONGO)
    assert settings.database_url("users") == f"{MYSQL}_users"
    assert (settings.redis_address, settings.mongo_address) == ("redis://r", MONGO["mongo_url"])
    assert settings.tls is None


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"redis_url": "redis://:hush@r"}, "TROUPE_REDIS_URL: with TROUPE_TLS_CA it must begin with rediss://"),
        (
            {"elasticsearch_url": "http://u:hush@e:9200"},
            "TROUPE_ELASTICSEARCH_URL: with TROUPE_TLS_CA it must begin",
        ),
        ({"tls_ca": "/none.pem"}, "TROUPE_TLS_CA=/none.pem is no readable PEM of certificates (No such file"),
        ({"tls_certificate": "/none.pem"}, "TROUPE_TLS_CERTIFICATE=/none.pem is no readable PEM of a certificate and"),
        ({"tls_ca": None, "tls_certificate": "/none.pem"}, "TROUPE_TLS_CERTIFICATE needs TROUPE_TLS_CA"),
        ({"elasticsearch_api_key": "hush"}, "TROUPE_ELASTICSEARCH_API_KEY needs TROUPE_ELASTICSEARCH_URL"),
    ],
)
def test_what_does_not_fit_is_said(authority: Authority, given: dict[str, Any], reason: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(**{"tls_ca": authority.file, **given})
    assert str(caught.value).startswith(reason)
    assert "hush" not in str(caught.value)


def test_a_file_that_is_no_certificate_is_named(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("hush")
    with pytest.raises(SettingsError) as caught:
        load(tls_ca=tmp_path / "ca.pem")
    assert str(caught.value).startswith(f"TROUPE_TLS_CA={tmp_path}/ca.pem is no readable PEM of certificates (")
