"""What each setting's value has to be beyond its type. All raise ValueError; none repeats what may be a secret."""

import re
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationInfo
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from serve.gateway.rate_limits import Addresses
from serve.notifications.mail_urls import mail_place, text_place, topic_region
from serve.notifications.mime import checked_address
from serve.users.social.configuring import parse as social_providers

Name = TypeVar("Name", bound=str)
_SCHEMES = {
    "mongo_url": ("mongodb", "mongodb+srv"),
    "redis_url": ("redis", "rediss"),
    "elasticsearch_url": ("http", "https"),
}


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


def absolute(value: Path | None) -> Path | None:
    return None if value is None else value.expanduser().absolute()  # our other processes start elsewhere


def networks(value: tuple[str, ...]) -> tuple[str, ...]:
    Addresses(value)
    return value


def origins(value: tuple[str, ...]) -> tuple[str, ...]:
    for origin in value:
        if not re.fullmatch(r"https?://[a-z0-9.-]+(:\d{1,5})?|https?://\[[0-9a-f:]+\](:\d{1,5})?", origin):
            raise ValueError(f"{origin!r:.80} is no origin such as https://shop.example.com")
    return value


def mysql(value: SecretStr | None) -> SecretStr | None:
    if value is not None:
        try:
            url = make_url(value.get_secret_value())
        except ArgumentError:
            url = None
        if url is None or url.drivername != "mysql+pymysql" or not url.host or not url.database:
            raise ValueError("it is no address such as mysql+pymysql://user:password@host:3306/troupe")
    return value


def address(value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
    schemes = _SCHEMES[str(info.field_name)]
    if value is not None and not value.get_secret_value().startswith(tuple(f"{one}://" for one in schemes)):
        raise ValueError(f"it does not begin with {' or '.join(f'{one}://' for one in schemes)}")
    return value


def servers(value: str) -> str:
    for server in value.split(",") if value else ():
        if not re.fullmatch(r"[A-Za-z0-9.-]+:\d{1,5}|\[[0-9a-f:]+\]:\d{1,5}", server.strip()):
            raise ValueError(f"{server!r:.80} is no host:port")
    return value


def mails(value: SecretStr | None) -> SecretStr | None:
    if value is None or not value.get_secret_value():
        return None
    mail_place(value.get_secret_value())
    return value


def sender(value: str) -> str:
    return checked_address(value)


def at_aws(value: str, info: ValidationInfo) -> str:
    if value:
        (topic_region if info.field_name == "mail_topic" else text_place)(value)
    return value


def stripe_key(value: SecretStr | None) -> SecretStr | None:
    if value is None or not value.get_secret_value():
        return None  # as compose files give what is not set
    if not re.fullmatch(r"[sr]k_(live|test)_\w+", value.get_secret_value()):
        raise ValueError("it is no key such as sk_live_... or rk_live_...")
    return value


def stripe_secrets(value: SecretStr | None) -> SecretStr | None:
    if value is None or not value.get_secret_value():
        return None
    for secret in value.get_secret_value().split(","):
        if not re.fullmatch(r"whsec_\S{16,}", secret.strip()):
            raise ValueError("they are no secrets such as whsec_..., with commas between them")
    return value


def api_base(value: str) -> str:
    if value and not re.fullmatch(r"https?://[^\s/@]+/?", value):
        raise ValueError("it is no address such as http://127.0.0.1:12111")
    return value


def signing_keys(value: SecretStr | None) -> SecretStr | None:
    if value is None:
        return None
    from serve.gateway.keys import private_keys

    text = value.get_secret_value().replace("\\n", "\n")
    private_keys(text)
    return SecretStr(text)


def providers(value: SecretStr | None) -> SecretStr | None:
    if value is not None:
        social_providers(value.get_secret_value())
    return value


def services_differ(value: tuple[Name, ...]) -> tuple[Name, ...]:
    if len(set(value)) < len(value):
        raise ValueError("a service is named twice")
    return value


def methods_differ(value: tuple[ShippingMethod, ...]) -> tuple[ShippingMethod, ...]:
    if len({way.method for way in value}) < len(value):
        raise ValueError("two ways of shipping have the same method")
    return value
