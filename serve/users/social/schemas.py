"""What goes into the routes of social log-in and what comes out."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from serve.users.schemas import DeviceToken, example


class ProviderBody(BaseModel):
    name: str = Field(examples=["google"])
    label: str = Field(examples=["Google"])
    url: str = Field(description="Where the browser goes.", examples=["/api/users/oauth/google"])


class ProviderList(BaseModel):
    model_config = example(
        {"items": [{"name": "google", "label": "Google", "url": "/api/users/oauth/google"}], "next": None}
    )

    items: list[ProviderBody]
    next: str | None = None


class IdentityBody(BaseModel):
    provider: str = Field(examples=["google"])
    linked_at: int = Field(description="UTC, milliseconds.", examples=[1_764_000_000_000])


class IdentityList(BaseModel):
    model_config = example({"items": [{"provider": "google", "linked_at": 1_764_000_000_000}], "next": None})

    items: list[IdentityBody]
    next: str | None = None


class Redirection(BaseModel):
    model_config = example({"url": "https://accounts.google.com/o/oauth2/v2/auth?client_id=shop&state=6f1c8a0be6f9"})

    url: str = Field(
        description="Send the browser there.", examples=["https://accounts.google.com/o/oauth2/v2/auth?..."]
    )


class Linked(BaseModel):
    linked: str = Field(examples=["google"])


class Exchange(BaseModel):
    model_config = ConfigDict(extra="forbid")

    code: Annotated[str, Field(min_length=1, max_length=128, examples=["sUq0lPqG4gqk0Vf1p0m3mQ"])]
    device_token: DeviceToken = None
