"""All settings, from the environment or a file .env: TROUPE_PORT=8080 and so on; secrets also from elsewhere."""

from pathlib import Path
from typing import Any, Literal, Self, get_args

from pydantic import Field, SecretStr, field_validator, model_validator
from sqlalchemy import make_url

from actors.order import CaptureMethod
from actors.pricing import Shipping, Terms
from serve import settings_values as values
from serve.settings_sources import Sourced, loaded
from serve.settings_values import STANDARD_SHIPPING, ShippingMethod
from serve.tls import Tls, in_elasticsearch, in_mongo, in_mysql, in_redis

Service = Literal["users", "catalog", "carts", "orders", "payments", "notifications", "entities"]
SERVICES: tuple[Service, ...] = get_args(Service)
"""What a shop is made of. `entities`: the hosts of carts, orders, payment sessions and stock, and the flows."""


class Settings(Sourced):
    """Everything that can be set; the defaults run a whole shop on one machine."""

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

    # Each value by itself
    _paths = field_validator("secrets_dir", "data_dir", "mail_dir", "search_synonyms", "tls_ca", "tls_certificate")(
        values.absolute
    )
    _networks = field_validator("trusted_proxies")(values.networks)
    _origins = field_validator("cors_origins")(values.origins)
    _mysql = field_validator("mysql_url")(values.mysql)
    _addresses = field_validator("mongo_url", "redis_url", "elasticsearch_url")(values.address)
    _kafka = field_validator("kafka_servers")(values.servers)
    _mail_place = field_validator("mail_url")(values.mails)
    _sender = field_validator("mail_from")(values.sender)
    _aws = field_validator("mail_topic", "texts_url")(values.at_aws)
    _stripe_key = field_validator("stripe_secret_key")(values.stripe_key)
    _stripe_secrets = field_validator("stripe_webhook_secrets")(values.stripe_secrets)
    _stripe_base = field_validator("stripe_api_base")(values.api_base)
    _signing = field_validator("signing_key")(values.signing_keys)
    _providers = field_validator("social")(values.providers)
    _services_differ = field_validator("services")(values.services_differ)
    _methods_differ = field_validator("shipping")(values.methods_differ)

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


def load(**given: Any) -> Settings:
    """The settings; `given` go before the environment, and that before the file .env. Raises SettingsError."""
    return loaded(Settings, given)
