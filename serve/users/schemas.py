"""What goes into the users' routes and what comes out."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, EmailStr, Field, StringConstraints

Password = Annotated[str, Field(max_length=256, examples=["three wet umbrellas"])]
Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), Field(examples=["Ada Byron"])
]

Language = Annotated[Literal["en", "de"], Field(description="That mails are written in.")]
Phone = Annotated[str, Field(min_length=3, max_length=40, pattern=r"^[0-9+() ./\-]*$", examples=["+44 20 7946 0123"])]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
PostalCode = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=20)]
Country = Annotated[str, Field(pattern="^[A-Z]{2}$", description="ISO 3166-1, two letters.")]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Registration(_In):
    email: EmailStr = Field(examples=["ada@example.com"])
    password: Password
    name: Name
    language: Language = "en"


DeviceToken = Annotated[
    str | None,
    Field(max_length=128, description="From an earlier log-in: failures of strangers do not slow down this device."),
]
KeepMeLoggedIn = Annotated[bool, Field(description="The session may lie unused for longer.")]


class LogIn(_In):
    email: EmailStr = Field(examples=["ada@example.com"])
    password: Password
    keep_me_logged_in: KeepMeLoggedIn = False
    device_token: DeviceToken = None


class Refresh(_In):
    refresh_token: Annotated[str, Field(min_length=1, max_length=512, examples=["6f1c8a0be6f94f0d.3.9a1fd2c7b0a4e3d5"])]


class ProfileChange(_In):
    """What is not given stays as it is; `phone` is removed by null. A new password needs the current one and ends all
    other sessions."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"name": "Ada Lovelace"}]})

    name: Name | None = None
    phone: Phone | None = None
    language: Language | None = None
    password: Password | None = None
    current_password: Password | None = None


_USER = {
    "id": "019a5c3e-5b1c-7d5e-8f0a-3c2b1a098765",
    "email": "ada@example.com",
    "name": "Ada Byron",
    "roles": [],
    "created_at": 1_764_000_000_000,
    "email_confirmed": True,
    "phone": "+44 20 7946 0123",
    "language": "en",
}
_ORDER = "019a5c3e-7d2a-7f31-9c55-6b1d0e9f8a21"
_PROFILE = {**_USER, "order_count": 1, "last_order": {"id": _ORDER, "at": 1_764_000_600_000}}
_ADDRESS: dict[str, Any] = {
    "name": "Ada Byron",
    "line1": "12 St James's Square",
    "line2": None,
    "city": "London",
    "postal_code": "SW1Y 4JH",
    "country": "GB",
    "phone": None,
    "default_shipping": True,
    "default_billing": True,
    "id": "6f1c8a0be6f94f0d8a7c5b3e2d1f0a9b",
}
_SESSION = {
    "id": "6f1c8a0be6f94f0d8a7c5b3e2d1f0a9b",
    "device": "Firefox on Windows",
    "address": "203.0.113.0/24",
    "created_at": 1_764_000_000_000,
    "used_at": 1_764_000_300_000,
    "expires_at": 1_764_086_700_000,
    "keep_me_logged_in": False,
    "current": True,
}
_ACTIVITY: list[dict[str, Any]] = [
    {"id": f"order/{_ORDER}", "at": 1_764_000_600_000, "what": "order_confirmed", "about": {"order": _ORDER}},
    {"id": f"user/{_USER['id']}/1/0", "at": 1_764_000_000_000, "what": "registered", "about": {"by": "email"}},
]


def example(body: dict[str, Any]) -> ConfigDict:
    """For the description of an answer."""
    return ConfigDict(json_schema_extra={"examples": [body]})


class UserBody(BaseModel):
    model_config = example(_USER)

    id: str = Field(examples=["019a5c3e-5b1c-7d5e-8f0a-3c2b1a098765"])
    email: str = Field(examples=["ada@example.com"])
    name: str = Field(examples=["Ada Byron"])
    roles: list[str] = Field(description="`staff` and `admin` open /api/admin; a shopper has none.")
    created_at: int = Field(description="UTC, milliseconds.", examples=[1_764_000_000_000])
    email_confirmed: bool = Field(default=False, description="Whether the mailed link was opened.")
    phone: str | None = None
    language: Language = "en"


class SessionBody(BaseModel):
    model_config = example(
        {
            "access_token": "eyJhbGciOiJSUzI1NiIsImtpZCI6IjE3NjQifQ.eyJzdWIiOiIwMTlhNWMzZSJ9.c2lnbmF0dXJl",
            "refresh_token": "6f1c8a0be6f94f0d8a7c5b3e2d1f0a9b.3.9a1fd2c7b0a4e3d5",
            "expires_in": 300,
            "token_type": "Bearer",
            "device_token": "0c4e6a3b9d8f7e21.5b7d9f1a3c2e4d60",
            "user": _USER,
        }
    )

    access_token: str = Field(description="Send it as `Authorization: Bearer ...`.")
    refresh_token: str = Field(description="Good for one exchange at /api/users/sessions/refresh.")
    expires_in: int = Field(description="Seconds that the access token lives.", examples=[300])
    token_type: str = "Bearer"  # noqa: S105
    device_token: str | None = Field(
        default=None, description="After a log-in: keep it on this device, also beyond the session."
    )
    user: UserBody


class JwksBody(BaseModel):
    """RFC 7517: the public keys that access tokens are verified with."""

    model_config = example(
        {
            "keys": [
                {
                    "kty": "RSA",
                    "use": "sig",
                    "alg": "RS256",
                    "kid": "681",
                    "n": "sXchDaQebHnPiGvyDOAT4saGEU",
                    "e": "AQAB",
                }
            ]
        }
    )

    keys: list[dict[str, str]]


class SessionInfo(BaseModel):
    """One place where somebody is logged in."""

    id: str = Field(examples=["6f1c8a0be6f94f0d8a7c5b3e2d1f0a9b"])
    device: str = Field(description="By its User-Agent; may be empty.", examples=["Firefox on Windows"])
    address: str = Field(description="The network it came from; may be empty.", examples=["203.0.113.0/24"])
    created_at: int = Field(description="UTC, milliseconds.", examples=[1_764_000_000_000])
    used_at: int = Field(description="The log-in or the last refresh.", examples=[1_764_000_300_000])
    expires_at: int = Field(description="If it isn't used until then.", examples=[1_764_086_700_000])
    keep_me_logged_in: bool
    current: bool = Field(description="Whether this request belongs to it.")


class SessionList(BaseModel):
    model_config = example({"items": [_SESSION], "next": None})

    items: list[SessionInfo]
    next: str | None = None


class LastOrder(BaseModel):
    id: str = Field(examples=["019a5c3e-7d2a-7f31-9c55-6b1d0e9f8a21"])
    at: int = Field(description="When it was confirmed; UTC, milliseconds.", examples=[1_764_000_000_000])


class ProfileBody(UserBody):
    """`order_count`: confirmed orders."""

    model_config = example(_PROFILE)

    order_count: int = 0
    last_order: LastOrder | None = None


class EmailChange(_In):
    """The password may be left out for a few minutes after a log-in."""

    email: EmailStr = Field(examples=["ada@newmail.example"])
    password: Password | None = None


class Deletion(_In):
    """The password may be left out for a few minutes after a log-in."""

    password: Password | None = None


class Confirmation(_In):
    """The password of the account; it may be left out by who is logged in to it."""

    password: Password | None = None


class ResetRequest(_In):
    email: EmailStr = Field(examples=["ada@example.com"])


class NewPassword(_In):
    password: Password


class NewAddress(_In):
    name: Text = Field(examples=["Ada Byron"])
    line1: Text = Field(examples=["12 St James's Square"])
    line2: Text | None = None
    city: Text = Field(examples=["London"])
    postal_code: PostalCode = Field(examples=["SW1Y 4JH"])
    country: Country = Field(examples=["GB"])
    phone: Phone | None = None
    default_shipping: bool = False
    default_billing: bool = False


class AddressChange(_In):
    """What is not given stays as it is; `line2` and `phone` are removed by null."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"default_billing": True}]})

    name: Text = ""
    line1: Text = ""
    line2: Text | None = None
    city: Text = ""
    postal_code: PostalCode = ""
    country: Country = ""
    phone: Phone | None = None
    default_shipping: bool = False
    default_billing: bool = False


class AddressBody(NewAddress):
    model_config = ConfigDict(extra="ignore", json_schema_extra={"examples": [_ADDRESS]})

    id: str = Field(examples=["6f1c8a0be6f94f0d8a7c5b3e2d1f0a9b"])


class AddressList(BaseModel):
    model_config = example({"items": [_ADDRESS], "next": None})

    items: list[AddressBody]
    next: str | None = None


class ActivityItem(BaseModel):
    """`what`: registered, logged_in, profile_changed, password_changed, email_confirmed, email_changed or
    order_confirmed. `about`: the session, the order or the fields."""

    id: str
    at: int = Field(description="UTC, milliseconds.", examples=[1_764_000_000_000])
    what: str = Field(examples=["order_confirmed"])
    about: dict[str, Any] = Field(examples=[{"order": "019a5c3e-7d2a-7f31-9c55-6b1d0e9f8a21"}])


class ActivityPage(BaseModel):
    """Newest first. `next` is the cursor of the next page, null on the last one."""

    model_config = example({"items": _ACTIVITY, "next": f"{_ACTIVITY[-1]['at']}.{_ACTIVITY[-1]['id']}"})

    items: list[ActivityItem]
    next: str | None


class ExportBody(BaseModel):
    """Everything that is known of an account. `others`: what the other services know, by name."""

    model_config = example(
        {
            "profile": _PROFILE,
            "addresses": [_ADDRESS],
            "sessions": [
                {
                    "id": _SESSION["id"],
                    "created_at": 1_764_000_000_000,
                    "exchanged_at": 1_764_000_300_000,
                    "expires_at": 1_764_086_700_000,
                    "device": "Firefox on Windows",
                    "address": "203.0.113.0/24",
                }
            ],
            "activity": _ACTIVITY,
            "others": {"orders": [{"id": _ORDER, "status": "confirmed"}], "notices": []},
        }
    )

    profile: ProfileBody
    addresses: list[AddressBody]
    sessions: list[dict[str, Any]]
    activity: list[ActivityItem]
    others: dict[str, list[Any]]
