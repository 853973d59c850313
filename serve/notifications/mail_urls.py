"""Where mails and text messages go out, as the settings say it: smtp://, smtps://, ses:// and sns:// addresses."""

import re
from collections.abc import Mapping
from typing import Literal, NamedTuple
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_ENDPOINT = re.compile(r"https?://[^\s/@]+/?")
_SENDER = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9]{1,11}")
_TOPIC = re.compile(r"arn:aws(-cn|-us-gov)?:sns:([a-z0-9-]+):\d{12}:[A-Za-z0-9_-]{1,256}")

Tls = Literal["starttls", "tls", "off"]


class SmtpPlace(NamedTuple):
    """`tls`: from the first byte (tls), before any mail is spoken of (starttls), or none. `ca`: a file, or empty."""

    host: str
    port: int
    user: str
    password: str
    tls: Tls
    ca: str


class AwsPlace(NamedTuple):
    """`endpoint`: empty: where AWS has it in that region. `name`: the configuration set, or the texts' sender."""

    region: str
    endpoint: str
    name: str


def mail_place(url: str) -> SmtpPlace | AwsPlace:
    """Raises ValueError with a text for people, in which no password stands."""
    parts = urlsplit(url)
    if parts.scheme == "ses":
        return _aws(parts, "configuration_set", _NAME)
    if parts.scheme not in ("smtp", "smtps"):
        raise ValueError("it does not begin with smtp://, smtps:// or ses://")
    options = _options(parts, ("tls", "ca"))
    tls: Tls = "tls" if parts.scheme == "smtps" else "starttls"
    if options.get("tls", "on") not in ("on", "off"):
        raise ValueError("tls is on or off")
    if options.get("tls") == "off":
        if parts.password or tls == "tls":
            raise ValueError("tls=off is for smtp:// without a password, which everybody on the way could read")
        tls = "off"
    if not parts.hostname or parts.path not in ("", "/"):
        raise ValueError("it is no address such as smtp://user:password@host:587")
    if bool(parts.username) != bool(parts.password):
        raise ValueError("a user and a password are given together or not at all")
    port = parts.port or (465 if tls == "tls" else 587)
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    return SmtpPlace(parts.hostname, port, user, password, tls, options.get("ca", ""))


def text_place(url: str) -> AwsPlace:
    """Raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme != "sns":
        raise ValueError("it does not begin with sns://")
    return _aws(parts, "sender", _SENDER)


def topic_region(arn: str) -> str:
    """The region that a topic is in. Raises ValueError."""
    found = _TOPIC.fullmatch(arn)
    if found is None:
        raise ValueError("it is no topic such as arn:aws:sns:eu-west-1:123456789012:mail")
    return found[2]


def _aws(parts: SplitResult, named: str, name: re.Pattern[str]) -> AwsPlace:
    options = _options(parts, ("endpoint", named))
    region = parts.netloc
    if not _REGION.fullmatch(region) or parts.path not in ("", "/"):
        raise ValueError(f"it is no address such as {parts.scheme}://eu-west-1; keys are AWS's own settings")
    if not _ENDPOINT.fullmatch(options.get("endpoint", "http://unset")):
        raise ValueError("endpoint is no address such as http://127.0.0.1:5000")
    if named in options and not name.fullmatch(options[named]):
        raise ValueError(f"{named} is no name that AWS knows")
    return AwsPlace(region, options.get("endpoint", ""), options.get(named, ""))


def _options(parts: SplitResult, known: tuple[str, ...]) -> Mapping[str, str]:
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    if strange := sorted(given.keys() - set(known)):
        raise ValueError(f"{strange[0]!r:.40} is nothing that can be said behind the ?: {', '.join(known)}")
    return given
