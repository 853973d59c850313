"""Providers of social log-ins, as the settings name them."""

from typing import Literal, Self
from urllib.parse import urlsplit

import pydantic
from pydantic import BaseModel, ConfigDict, Field, SecretStr, TypeAdapter, model_validator

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class SocialProvider(BaseModel):
    """`issuer`: of an OIDC provider, which is all that is needed to find the rest. `site`, `api`: of a GitHub of one's
    own; empty: the public one. `label`: what a button says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")
    kind: Literal["oidc", "facebook", "github"]
    client_id: str = Field(min_length=1)
    client_secret: SecretStr
    issuer: str = ""
    label: str = ""
    site: str = ""
    api: str = ""

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if self.kind == "oidc" and not self.issuer:
            raise ValueError("an oidc provider needs its issuer")
        for address in (self.issuer, self.site, self.api):
            if address and not is_safe(address):
                raise ValueError("addresses of providers begin with https://")
        return self


def is_safe(address: str) -> bool:
    """Whether it is encrypted, or on this machine."""
    parts = urlsplit(address)
    return parts.scheme == "https" or parts.hostname in _LOOPBACK


_PROVIDERS = TypeAdapter(tuple[SocialProvider, ...])


def parse(text: str) -> tuple[SocialProvider, ...]:
    """Raises ValueError, which says what is wrong but repeats nothing: there are secrets in the text."""
    try:
        found = _PROVIDERS.validate_json(text)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = "".join(f"[{step}]" for step in first["loc"])
        raise ValueError(f"{where} {first['msg'].removeprefix('Value error, ')}".strip()) from None
    if len({provider.name for provider in found}) < len(found):
        raise ValueError("two providers have the same name")
    return found
