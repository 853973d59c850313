"""All settings, from the environment: TROUPE_PORT=8080 and so on."""

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, Self, TypeVar, get_origin

import pydantic
import pydantic_settings
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from actors.pricing import Shipping, Terms
from serve.gateway.rate_limits import Addresses

PREFIX = "TROUPE_"
S = TypeVar("S", bound="Settings")


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

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore", validate_default=True)

    # Where it listens and keeps things
    host: str = Field("127.0.0.1", description="the address to listen at; 0.0.0.0 opens it to the network")
    port: int = Field(8000, ge=1, le=65535, description="the port to listen at")
    public_url: str = Field("", description="what browsers call the shop; empty: http://HOST:PORT")
    data_dir: Path = Field(Path("data"), description="the folder of all databases")
    mail_dir: Path | None = Field(None, description="the folder that mails are written to; unset: DATA_DIR/mail")
    sync: Literal["full", "normal"] = Field(
        "full", description="full: a commit has reached the disk; normal: losing power may lose the last commits"
    )

    # The shop
    currency: str = Field("GBP", pattern=r"^[A-Z]{3}$", description="an ISO 4217 code such as GBP")
    tax_rate_bp: int = Field(2000, ge=0, le=10_000, description="the tax rate in basis points: 2000 is 20 %")
    prices_include_tax: bool = Field(True, description="whether prices are shown with tax")
    shipping: tuple[ShippingMethod, ...] = Field(
        STANDARD_SHIPPING, min_length=1, description='JSON: [{"method", "label", "price", "free_from"}, ...]'
    )
    payment_deadline_seconds: int = Field(1800, ge=1, description="how long a payment may take before the order ends")
    checkout_wait_seconds: float = Field(5.0, ge=0, le=30, description="how long a checkout waits for the order")
    max_waiters: int = Field(2000, ge=0, description="how many requests may wait at once; beyond it they don't wait")

    language: Literal["en", "de"] = Field("en", description="the shop's language, for search: en or de")
    search_synonyms: Path | None = Field(None, description="a file of synonyms for search; unset: those we bring")

    # The actors
    hosts: int = Field(1, ge=0, le=64, description="processes that run entities; 0: the web process runs them itself")
    shards: int = Field(64, ge=1, le=4096, description="fixed for the life of a database")
    mailbox: int = Field(1000, ge=1, description="commands that may wait for one entity before it answers 503")

    # Who may call, and how often
    rate_limits: bool = Field(True, description="whether calls are limited at all")
    rate_per_minute: int = Field(6000, ge=1, description="requests a minute and caller")
    rate_burst: int = Field(1000, ge=1, description="requests at once a caller")
    trusted_proxies: tuple[str, ...] = Field(
        (), description='JSON: networks whose X-Forwarded-For is believed, ["10.0.0.0/8"]'
    )
    access_token_seconds: int = Field(300, ge=10, le=300, description="how long an access token lives")
    refresh_days: int = Field(30, ge=1, le=365, description="how long an unused session lives")
    guest_days: int = Field(90, ge=1, le=365, description="how long a guest token lives")
    argon2_memory_kib: int = Field(19_456, ge=8, description="memory of one password hash, in KiB")
    argon2_time_cost: int = Field(2, ge=1, description="rounds of one password hash")
    webhook_secret: SecretStr | None = Field(None, description="what the payment gateway signs its calls with")

    # What it tells
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="how much is logged")
    metrics: bool = Field(True, description="whether /metrics is served")
    otlp_endpoint: str | None = Field(None, description="where traces go (OTLP over HTTP); unset: no traces")

    @field_validator("data_dir", "mail_dir", "search_synonyms")
    @classmethod
    def _is_absolute(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser().absolute()  # our other processes start elsewhere

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        Addresses(value)
        return value

    @field_validator("shipping")
    @classmethod
    def _differ(cls, value: tuple[ShippingMethod, ...]) -> tuple[ShippingMethod, ...]:
        if len({way.method for way in value}) < len(value):
            raise ValueError("two ways of shipping have the same method")
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.rate_burst > self.rate_per_minute * 10:
            raise ValueError("RATE_BURST is more than ten minutes of RATE_PER_MINUTE: the limit would hardly limit")
        return self

    @property
    def url(self) -> str:
        """What browsers call the shop, without a slash at the end."""
        shown = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host
        return (self.public_url or f"http://{shown}:{self.port}").rstrip("/")

    @property
    def mails(self) -> Path:
        return self.mail_dir or self.data_dir / "mail"

    @property
    def search_dir(self) -> Path:
        return self.data_dir / "search"

    def database(self, name: str) -> Path:
        """The file of a database: ``database("users")`` is DATA_DIR/users.db."""
        return self.data_dir / f"{name}.db"

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
            packed[_variable(name)] = str(value)
        return packed

    @classmethod
    def unpacked(cls, packed: Mapping[str, str]) -> Self:
        """The settings that were packed, whatever this process' own environment says. Raises SettingsError."""
        values: dict[str, Any] = dict.fromkeys(cls.model_fields)
        for name, field in cls.model_fields.items():
            text = packed.get(_variable(name))
            if text is None and field.default is not None:
                values[name] = field.default
            elif text is not None:
                values[name] = json.loads(text) if get_origin(field.annotation) is tuple else text
        return _made(cls, values)


def load(**given: Any) -> Settings:
    """The settings from the environment; `given` go before it. Raises SettingsError."""
    return _made(Settings, given)


def misspelt(names: Iterable[str]) -> list[str]:
    """A sentence for each TROUPE_ variable that looks like a setting but is none."""
    known = [_variable(name) for name in Settings.model_fields]
    found: list[str] = []
    for name in sorted(names):
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            close = difflib.get_close_matches(name.upper(), known, 1, 0.8)
            if close:
                found.append(f"{name} is not a setting; did you mean {close[0]}?")
    return found


def _variable(name: str) -> str:
    return PREFIX + name.upper()


def _made(kind: type[S], values: dict[str, Any]) -> S:
    try:
        return kind(**values)
    except pydantic.ValidationError as error:
        raise SettingsError("\n".join(_sentence(found) for found in error.errors())) from None
    except pydantic_settings.SettingsError as error:
        name = re.sub(r'.*field "(\w+)".*', r"\1", str(error))
        raise SettingsError(f"{_variable(name)}: not JSON ({_described(name)}).") from None


def _described(name: str) -> str:
    field = Settings.model_fields.get(name)
    return (field.description or "") if field is not None else ""


def _sentence(found: Any) -> str:
    if not found["loc"]:
        return str(found["msg"]).removeprefix("Value error, ")
    name = str(found["loc"][0])
    within = "".join(f"[{step}]" for step in found["loc"][1:])
    field = Settings.model_fields[name]
    is_secret = "SecretStr" in str(field.annotation)
    shown = "" if is_secret or within else f"={found['input']!s:.100}"
    reason = str(found["msg"]).removeprefix("Value error, ").removeprefix("Input ")
    return f"{_variable(name)}{within}{shown}: {reason} ({_described(name)})."
