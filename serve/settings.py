"""All settings, from the environment or a file .env: TROUPE_PORT=8080 and so on; secrets also from elsewhere."""

import difflib
import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, Self, TypeVar, get_args, get_origin

import pydantic
import pydantic_settings
from dotenv import dotenv_values
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from actors.order import CaptureMethod
from actors.pricing import Shipping, Terms
from serve.gateway.rate_limits import Addresses
from serve.notifications.mail_urls import mail_place, text_place, topic_region
from serve.notifications.mime import checked_address
from serve.secret_sources import SecretsUnreadable, chosen_by, sources
from serve.tls import Tls, in_elasticsearch, in_mongo, in_mysql, in_redis
from serve.users.social.configuring import parse as social_providers

PREFIX = "TROUPE_"
ENV_FILE = ".env"
# Variables of ours that are no settings: the mark of a shop's processes, what `troupe staff add` and tests take.
OTHERS = ("TROUPE_RUN", "TROUPE_PASSWORD", "TROUPE_TEST_")
_SCHEMES = {
    "mongo_url": ("mongodb", "mongodb+srv"),
    "redis_url": ("redis", "rediss"),
    "elasticsearch_url": ("http", "https"),
}
S = TypeVar("S", bound="Settings")

Service = Literal["users", "catalog", "carts", "orders", "payments", "notifications", "entities"]
SERVICES: tuple[Service, ...] = get_args(Service)
"""What a shop is made of. `entities`: the hosts of carts, orders, payment sessions and stock, and the flows."""


class SettingsError(Exception):
    """A text for people: which setting is wrong, why, and what it is for."""


class ShippingMethod(BaseModel):
    """Prices in minor units; free once the goods come to `free_from` (null: never)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str = Field(min_length=1, max_length=40)
    label: str = Field(min_length=1, max_length=100)
    price: int = Field(ge=0)
    free_from: int | None = Field(default=None, ge=0)


STANDARD_SHIPPING = (
    ShippingMethod(method="standard", label="Standard delivery", price=495, free_from=5000),
    ShippingMethod(method="express", label="Express delivery", price=995),
    ShippingMethod(method="pickup", label="Pick up in the shop", price=0),
)


class Settings(BaseSettings):
    """Everything that can be set; the defaults run a whole shop on one machine."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="ignore", validate_default=True, hide_input_in_errors=True
    )

    profile: Literal["embedded", "production"] = Field(
        "embedded", description="production: the start is refused unless everything is as it must be for real customers"
    )

    # Where secrets are, if not in the environment
    secrets_dir: Path | None = Field(
        None, description="a folder with a file for each setting that is not in the environment, named as its variable"
    )
    secrets_aws: str = Field(
        "", description="name or ARN of a secret in AWS Secrets Manager: JSON of variables that are nowhere else"
    )

    # Where it listens and keeps things
    host: str = Field("127.0.0.1", description="the address to listen at; 0.0.0.0 opens it to the network")
    port: int = Field(8000, ge=1, le=65535, description="the port to listen at")
    public_url: str = Field("", description="what browsers call the shop; empty: http://HOST:PORT")
    data_dir: Path = Field(Path("data"), description="the folder of all databases")
    mail_dir: Path | None = Field(
        None, description="the folder that mails are written to without TROUPE_MAIL_URL; unset: DATA_DIR/mail"
    )
    sync: Literal["full", "normal"] = Field(
        "full", description="full: a commit has reached the disk; normal: losing power may lose the last commits"
    )
    services: tuple[Service, ...] = Field(
        SERVICES, min_length=1, description='JSON: which parts of the shop run here, ["users", "catalog"]; unset: all'
    )

    # The shop
    currency: str = Field("GBP", pattern=r"^[A-Z]{3}$", description="an ISO 4217 code such as GBP")
    language: Literal["en", "de"] = Field("en", description="of search, and of mails to people who asked for none")
    tax_rate_bp: int = Field(2000, ge=0, le=10_000, description="the tax rate in basis points: 2000 is 20 %")
    prices_include_tax: bool = Field(True, description="whether prices are shown with tax")
    shipping: tuple[ShippingMethod, ...] = Field(
        STANDARD_SHIPPING, min_length=1, description='JSON: [{"method", "label", "price", "free_from"}, ...]'
    )
    payment_capture: CaptureMethod = Field(
        "automatic",
        description="when cards and wallets are charged: at once, or (manual) when the order is packed",
    )
    payment_deadline_seconds: int = Field(1800, ge=1, description="how long a payment may take before the order ends")
    checkout_wait_seconds: float = Field(5.0, ge=0, le=30, description="how long a checkout waits for the order")
    max_waiters: int = Field(2000, ge=0, description="how many requests may wait at once; beyond it they don't wait")

    # Servers; without an address there is an embedded stand-in on this machine
    mysql_url: SecretStr | None = Field(
        None,
        description="MySQL or MariaDB, mysql+pymysql://user:password@host:3306/troupe; each service has a database of "
        "its own, troupe_users and so on; unset: SQLite",
    )
    mongo_url: SecretStr | None = Field(
        None,
        description="MongoDB, a replica set, for carts: mongodb://host:27017/troupe?replicaSet=rs0; unset: as the rest",
    )
    redis_url: SecretStr | None = Field(
        None, description="Redis, for limits, ended sessions and carts: redis://host:6379/0; unset: in the processes"
    )
    kafka_servers: str = Field("", description="Kafka's bootstrap servers, host:9092,host:9092; empty: the databases")
    kafka_prefix: str = Field(
        "",
        # An index of Elasticsearch must not begin with a sign; the name of a flow's progress has 64 characters.
        pattern=r"^([a-z0-9][a-z0-9._-]{0,31})?$",
        description="before the names of topics, groups and search indexes, where shops share Kafka or Elasticsearch",
    )
    pipelines: int = Field(1, ge=1, le=64, description="processes that run the flows over Kafka")
    kafka_replication: int = Field(3, ge=1, le=7, description="copies of each partition of a topic that setup makes")
    kafka_partitions: int = Field(6, ge=1, le=256, description="partitions of each topic that setup makes")
    elasticsearch_url: SecretStr | None = Field(
        None, description="Elasticsearch, for search: https://user:password@host:9200; unset: an embedded index"
    )
    elasticsearch_api_key: SecretStr | None = Field(
        None, description="an API key for Elasticsearch, instead of a user in its address"
    )
    tls_ca: Path | None = Field(
        None,
        description="PEM of the authorities that vouch for the servers above: all of them are spoken to over TLS, and "
        "checked; unset: as their addresses say",
    )
    tls_certificate: Path | None = Field(
        None, description="PEM of a certificate of ours and its key, for servers that ask for one; needs TROUPE_TLS_CA"
    )
    kafka_tls: bool = Field(False, description="whether Kafka is spoken to over TLS; with TROUPE_TLS_CA it always is")
    kafka_user: str = Field("", description="who we are to Kafka, by SCRAM-SHA-512; empty: it does not ask")
    kafka_password: SecretStr | None = Field(None, description="the password of TROUPE_KAFKA_USER")

    stripe_secret_key: SecretStr | None = Field(
        None,
        description="Stripe's secret key, sk_live_... or a restricted one; unset: a test gateway that moves nothing",
    )
    stripe_webhook_secrets: SecretStr | None = Field(
        None, description="what Stripe signs its calls with, whsec_...; with a comma between two while one is replaced"
    )
    stripe_api_base: str = Field("", description="where Stripe's API is, for tests; empty: https://api.stripe.com")
    mail_url: SecretStr | None = Field(
        None,
        description="where mails go out: smtp://user:password@host:587 (STARTTLS), smtps://user:password@host:465 or "
        "ses://eu-west-1?configuration_set=shop; unset: into a folder",
    )
    mail_from: str = Field("orders@shop.example", max_length=254, description="the address that mails come from")
    mail_topic: str = Field(
        "", description="the ARN of the SNS topic that SES tells bounces and complaints to; empty: none is believed"
    )
    texts_url: str = Field(
        "", description="where text messages go out: sns://eu-west-1?sender=SHOP; empty: there are none"
    )
    seller_name: str = Field("Troupe", min_length=1, max_length=200, description="who sells, as receipts say")
    seller_postal_address: str = Field(
        "", max_length=500, description="where the seller is: lines with a | between them"
    )
    seller_tax_id: str = Field("", max_length=50, description="the seller's tax number, for receipts")
    search_synonyms: Path | None = Field(None, description="a file of synonyms for search; unset: those we bring")

    # The actors
    hosts: int = Field(1, ge=0, le=64, description="processes that run entities; 0: the web process runs them itself")
    shards: int = Field(64, ge=1, le=4096, description="fixed for the life of a database")
    mailbox: int = Field(1000, ge=1, description="commands that may wait for one entity before it answers 503")

    # Who may call, and how often
    rate_limits: bool = Field(True, description="whether calls are limited at all")
    rate_per_minute: int = Field(6000, ge=1, description="requests a minute and caller, of each class of routes")
    rate_burst: int = Field(1000, ge=1, description="requests at once a caller, of each class of routes")
    rate_address_factor: int = Field(
        10, ge=1, le=1000, description="callers' worth of requests that one address may send, whoever they say they are"
    )
    max_body_bytes: int = Field(1_000_000, ge=1024, description="the largest body of a request")
    cors_origins: tuple[str, ...] = Field(
        (), description='JSON: origins whose pages may call from a browser, ["https://shop.example.com"]; unset: none'
    )
    trusted_proxies: tuple[str, ...] = Field(
        (), description='JSON: networks whose X-Forwarded-For is believed, ["10.0.0.0/8"]'
    )
    access_token_seconds: int = Field(300, ge=10, le=300, description="how long an access token lives")
    session_days: int = Field(1, ge=1, le=365, description="how long an unused session lives")
    session_long_days: int = Field(30, ge=1, le=365, description="the same of who wants to stay logged in")
    session_most_days: int = Field(90, ge=1, le=3650, description="how long a session lives however much it is used")
    password_reset_seconds: int = Field(3600, ge=60, le=86_400, description="how long a password reset's link works")
    guest_days: int = Field(90, ge=1, le=365, description="how long a guest token lives")
    social: SecretStr | None = Field(
        None,
        description='JSON: [{"name", "kind": oidc, github or facebook, "issuer", "client_id", ...}, ...]',
    )
    social_return_url: str = Field(
        "", description="the page that gets the one-time code of a social log-in; empty: JSON"
    )
    argon2_memory_kib: int = Field(19_456, ge=8, description="memory of one password hash, in KiB")
    argon2_time_cost: int = Field(2, ge=1, description="rounds of one password hash")
    webhook_secret: SecretStr | None = Field(
        None, description="what the payment gateway signs its calls with; unset: made once, in the data folder"
    )
    signing_key: SecretStr | None = Field(
        None,
        description="PEM of the RSA key that signs access tokens, with \\n for line ends; more keys behind it verify "
        "only; unset: made and renewed in the data folder",
    )
    guest_secret: SecretStr | None = Field(
        None, min_length=32, description="what guests' tokens are signed with; unset: made once, in the data folder"
    )
    carrier_secret: SecretStr | None = Field(
        None, description="what carriers sign their calls with; unset: none is believed"
    )

    # What it tells
    closing_seconds: float = Field(
        0.0, ge=0, le=60, description="how long it says that it is not ready before it closes, so that balancers see it"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="how much is logged")
    metrics: bool = Field(True, description="whether /metrics is served")
    otlp_endpoint: str | None = Field(None, description="where traces go (OTLP over HTTP); unset: no traces")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The first goes before the others. Raises SecretsUnreadable."""
        if init_settings().keys() >= cls.model_fields.keys():
            return (init_settings,)  # they were packed: nothing else is asked
        given = (init_settings, env_settings, dotenv_settings)
        chosen = chosen_by(given)
        more = sources(settings_cls, chosen.get("secrets_dir"), chosen.get("secrets_aws", ""))
        if strangers := unknown(name for source in more for name in source.names):
            raise SecretsUnreadable("\n".join(strangers))
        return (*given, *more)

    @field_validator("secrets_dir", "data_dir", "mail_dir", "search_synonyms", "tls_ca", "tls_certificate")
    @classmethod
    def _is_absolute(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser().absolute()  # our other processes start elsewhere

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        Addresses(value)
        return value

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            if not re.fullmatch(r"https?://[a-z0-9.-]+(:\d{1,5})?|https?://\[[0-9a-f:]+\](:\d{1,5})?", origin):
                raise ValueError(f"{origin!r:.80} is no origin such as https://shop.example.com")
        return value

    @field_validator("mysql_url")
    @classmethod
    def _is_mysql(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            try:
                url = make_url(value.get_secret_value())
            except ArgumentError:
                url = None
            if url is None or url.drivername != "mysql+pymysql" or not url.host or not url.database:
                raise ValueError("it is no address such as mysql+pymysql://user:password@host:3306/troupe")
        return value

    @field_validator("mongo_url", "redis_url", "elasticsearch_url")
    @classmethod
    def _is_address(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        schemes = _SCHEMES[str(info.field_name)]
        if value is not None and not value.get_secret_value().startswith(tuple(f"{one}://" for one in schemes)):
            raise ValueError(f"it does not begin with {' or '.join(f'{one}://' for one in schemes)}")
        return value

    @field_validator("mail_url")
    @classmethod
    def _is_mail_place(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None or not value.get_secret_value():
            return None
        mail_place(value.get_secret_value())
        return value

    @field_validator("mail_from")
    @classmethod
    def _is_sender(cls, value: str) -> str:
        return checked_address(value)

    @field_validator("mail_topic", "texts_url")
    @classmethod
    def _is_at_aws(cls, value: str, info: ValidationInfo) -> str:
        if value:
            (topic_region if info.field_name == "mail_topic" else text_place)(value)
        return value

    @field_validator("stripe_secret_key")
    @classmethod
    def _is_stripe_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None or not value.get_secret_value():
            return None  # as compose files give what is not set
        if not re.fullmatch(r"[sr]k_(live|test)_\w+", value.get_secret_value()):
            raise ValueError("it is no key such as sk_live_... or rk_live_...")
        return value

    @field_validator("stripe_webhook_secrets")
    @classmethod
    def _are_stripe_secrets(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None or not value.get_secret_value():
            return None
        for secret in value.get_secret_value().split(","):
            if not re.fullmatch(r"whsec_\S{16,}", secret.strip()):
                raise ValueError("they are no secrets such as whsec_..., with commas between them")
        return value

    @field_validator("stripe_api_base")
    @classmethod
    def _is_api_base(cls, value: str) -> str:
        if value and not re.fullmatch(r"https?://[^\s/@]+/?", value):
            raise ValueError("it is no address such as http://127.0.0.1:12111")
        return value

    @field_validator("kafka_servers")
    @classmethod
    def _are_servers(cls, value: str) -> str:
        for server in value.split(",") if value else ():
            if not re.fullmatch(r"[A-Za-z0-9.-]+:\d{1,5}|\[[0-9a-f:]+\]:\d{1,5}", server.strip()):
                raise ValueError(f"{server!r:.80} is no host:port")
        return value

    @field_validator("signing_key")
    @classmethod
    def _are_keys(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        from serve.gateway.keys import private_keys

        text = value.get_secret_value().replace("\\n", "\n")
        private_keys(text)
        return SecretStr(text)

    @field_validator("services")
    @classmethod
    def _are_once_each(cls, value: tuple[Service, ...]) -> tuple[Service, ...]:
        if len(set(value)) < len(value):
            raise ValueError("a service is named twice")
        return value

    @field_validator("social")
    @classmethod
    def _are_providers(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            social_providers(value.get_secret_value())
        return value

    @field_validator("shipping")
    @classmethod
    def _differ(cls, value: tuple[ShippingMethod, ...]) -> tuple[ShippingMethod, ...]:
        if len({way.method for way in value}) < len(value):
            raise ValueError("two ways of shipping have the same method")
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.signing_key is None) != (self.guest_secret is None):
            raise ValueError("TROUPE_SIGNING_KEY and TROUPE_GUEST_SECRET are given together or not at all")
        if self.mongo_url is not None and not self.kafka_servers:
            raise ValueError("TROUPE_MONGO_URL needs TROUPE_KAFKA_SERVERS: events of carts go out through Kafka")
        if bool(self.kafka_user) != (self.kafka_password is not None):
            raise ValueError("TROUPE_KAFKA_USER and TROUPE_KAFKA_PASSWORD are given together or not at all")
        if self.elasticsearch_api_key is not None and self.elasticsearch_url is None:
            raise ValueError("TROUPE_ELASTICSEARCH_API_KEY needs TROUPE_ELASTICSEARCH_URL")
        if self.tls_certificate is not None and self.tls_ca is None:
            raise ValueError("TROUPE_TLS_CERTIFICATE needs TROUPE_TLS_CA")
        if self.tls is not None:
            self.tls.context()
        # An address that cannot be spoken to as it says is better known now.
        _ = self.database_url("users"), self.mongo_address, self.redis_address, self.elasticsearch_address
        if self.stripe_api_base and self.stripe_secret_key is None:
            raise ValueError("TROUPE_STRIPE_API_BASE needs TROUPE_STRIPE_SECRET_KEY")
        if self.rate_burst > self.rate_per_minute * 10:
            raise ValueError("RATE_BURST is more than ten minutes of RATE_PER_MINUTE: the limit would hardly limit")
        return self

    @property
    def url(self) -> str:
        """What browsers call the shop, without a slash at the end."""
        shown = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host
        return (self.public_url or f"http://{shown}:{self.port}").rstrip("/")

    @property
    def stripe_signers(self) -> tuple[str, ...]:
        """The secrets that Stripe may sign its webhooks with."""
        given = self.stripe_webhook_secrets
        return tuple(one.strip() for one in given.get_secret_value().split(",")) if given is not None else ()

    @property
    def mails(self) -> Path:
        return self.mail_dir or self.data_dir / "mail"

    @property
    def is_whole(self) -> bool:
        """Whether every part of the shop runs in this shop's processes."""
        return set(self.services) == set(SERVICES)

    @property
    def search_dir(self) -> Path:
        return self.data_dir / "search"

    def database(self, name: str) -> Path:
        """The file of a database: ``database("users")`` is DATA_DIR/users.db."""
        return self.data_dir / f"{name}.db"

    def database_url(self, name: str) -> str:
        """The address of a database, for SQLAlchemy. It has a password in it: never log it."""
        if self.mysql_url is None:
            return f"sqlite:///{self.database(name)}"
        url = in_mysql(make_url(self.mysql_url.get_secret_value()), self.tls)
        return url.set(database=f"{url.database}_{name}").render_as_string(hide_password=False)

    @property
    def tls(self) -> Tls | None:
        """How all servers are spoken to; None: as their addresses say."""
        return None if self.tls_ca is None else Tls(self.tls_ca, self.tls_certificate)

    @property
    def mongo_address(self) -> str | None:
        """For pymongo. It has a password in it: never log it."""
        return None if self.mongo_url is None else in_mongo(self.mongo_url.get_secret_value(), self.tls)

    @property
    def redis_address(self) -> str | None:
        """For redis-py. It has a password in it: never log it."""
        return None if self.redis_url is None else in_redis(self.redis_url.get_secret_value(), self.tls)

    @property
    def elasticsearch_address(self) -> str | None:
        """It may have a password in it: never log it."""
        url = self.elasticsearch_url
        return None if url is None else in_elasticsearch(url.get_secret_value(), self.tls)

    def terms(self, method: str) -> Terms | None:
        """What an order with this way of shipping is priced under; None: there is no such way."""
        for way in self.shipping:
            if way.method == method:
                shipping = Shipping(way.method, way.label, way.price, way.free_from)
                return Terms(self.currency, self.tax_rate_bp, self.prices_include_tax, shipping)
        return None

    def packed(self) -> dict[str, str]:
        """All settings, secrets too, for the environment of a process of ours. Never log it."""
        packed: dict[str, str] = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if value is None:
                continue
            if isinstance(value, SecretStr):
                value = value.get_secret_value()
            elif isinstance(value, tuple):
                value = json.dumps([v.model_dump() if isinstance(v, BaseModel) else v for v in value])
            packed[variable(name)] = str(value)
        return packed

    @classmethod
    def unpacked(cls, packed: Mapping[str, str]) -> Self:
        """The settings that were packed, whatever this process' own environment says. Raises SettingsError."""
        values: dict[str, Any] = dict.fromkeys(cls.model_fields)
        for name, field in cls.model_fields.items():
            text = packed.get(variable(name))
            if text is None and field.default is not None:
                values[name] = field.default
            elif text is not None:
                values[name] = json.loads(text) if get_origin(field.annotation) is tuple else text
        return _made(cls, values)


def load(**given: Any) -> Settings:
    """The settings; `given` go before the environment, and that before the file .env. Raises SettingsError."""
    wrong = unknown({*os.environ, *env_file()})
    try:
        settings = _made(Settings, given, _env_file=ENV_FILE)
    except SettingsError as error:
        wrong.append(str(error))
    if wrong:
        raise SettingsError("\n".join(wrong))
    return settings


def env_file() -> dict[str, str]:
    """What the file .env of this folder says; nothing if there is none."""
    found = dotenv_values(ENV_FILE) if Path(ENV_FILE).is_file() else {}
    return {name.upper(): value or "" for name, value in found.items() if name.upper().startswith(PREFIX)}


def unknown(names: Iterable[str]) -> list[str]:
    """A sentence for each TROUPE_ variable that is no setting."""
    known = [variable(name) for name in Settings.model_fields]
    found: list[str] = []
    for name in sorted(names):
        upper = name.upper()
        if not upper.startswith(PREFIX) or upper in known or upper.startswith(OTHERS):
            continue
        close = difflib.get_close_matches(upper, known, 1, 0.8)
        hint = f"did you mean {close[0]}?" if close else "docs/settings.md has all that there are."
        found.append(f"{name} is not a setting; {hint}")
    return found


def is_secret(name: str) -> bool:
    """Whether a setting's value must never be shown."""
    return "SecretStr" in str(Settings.model_fields[name].annotation)


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.upper()


def _made(kind: type[S], values: dict[str, Any], **more: Any) -> S:
    try:
        return kind(**more, **values)
    except SecretsUnreadable as error:
        raise SettingsError(str(error)) from None
    except pydantic.ValidationError as error:
        found = error.errors()
        within = {one["loc"][0] for one in found if len(one["loc"]) > 1}
        # A list that has something wrong in it counts as empty too.
        told = [one for one in found if len(one["loc"]) != 1 or one["loc"][0] not in within]
        # What comes from where secrets are is not repeated, whatever it is for.
        open_ones = {*values, *(name.upper().removeprefix(PREFIX).lower() for name in (*os.environ, *env_file()))}
        raise SettingsError("\n".join(_sentence(one, open_ones) for one in told)) from None
    except pydantic_settings.SettingsError as error:
        name = re.sub(r'.*field "(\w+)".*', r"\1", str(error))
        raise SettingsError(f"{variable(name)}: not JSON ({_described(name)}).") from None


def _described(name: str) -> str:
    field = Settings.model_fields.get(name)
    return (field.description or "") if field is not None else ""


def _sentence(found: Any, open_ones: set[str]) -> str:
    if not found["loc"]:
        return str(found["msg"]).removeprefix("Value error, ")
    name = str(found["loc"][0])
    within = "".join(f"[{step}]" for step in found["loc"][1:])
    shown = "" if is_secret(name) or name not in open_ones or within else f"={found['input']!s:.100}"
    reason = str(found["msg"]).removeprefix("Value error, ").removeprefix("Input ")
    if found["type"] == "value_error" and not is_secret(name) and name not in open_ones:
        reason = "it is not allowed"  # our own words may repeat what they are about
    return f"{variable(name)}{within}{shown}: {reason} ({_described(name)})."
