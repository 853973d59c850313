"""What the production profile insists on before a shop starts for real customers and real money."""

from collections.abc import Mapping

from serve.preflight import CannotStart
from serve.settings import Settings
from serve.settings_errors import variable

KEYS = ("stripe_webhook_secrets", "signing_key", "guest_secret")


def check(settings: Settings, environment: Mapping[str, str]) -> None:
    """Raises CannotStart with everything that is not as it must be, if the profile is production."""
    if settings.profile != "production":
        return
    found = problems(settings, environment)
    if found:
        raise CannotStart("\n".join(("TROUPE_PROFILE=production does not start like this:", *found)))


def problems(settings: Settings, environment: Mapping[str, str]) -> list[str]:
    """A sentence for each thing that real customers must not be served with."""
    found = []
    key = settings.stripe_secret_key
    if key is None:
        found.append("TROUPE_STRIPE_SECRET_KEY is not set: the test gateway moves no money; a real one is needed.")
    elif "_live_" not in key.get_secret_value():
        found.append(
            "TROUPE_STRIPE_SECRET_KEY is a key for tests, which moves no money; it must be sk_live_ or rk_live_."
        )
    if settings.stripe_api_base:
        found.append("TROUPE_STRIPE_API_BASE is set: that is for tests.")
    if settings.mail_url is None:
        found.append("TROUPE_MAIL_URL is not set: mails would be written into a folder, and nobody would get one.")
    elif settings.mail_from.endswith("@shop.example"):
        found.append("TROUPE_MAIL_FROM is not set: no mail server takes mails from an address that is an example.")
    for name in KEYS:
        if not getattr(settings, name):
            found.append(f"{variable(name)} is not set: keys must be given, not made in the data folder.")
    if not settings.url.startswith("https://"):
        found.append(f"TROUPE_PUBLIC_URL={settings.url}: must begin with https://, or tokens and cookies can be read.")
    found += [f"TROUPE_CORS_ORIGINS: {one} is not https." for one in settings.cors_origins if one.startswith("http://")]
    if not settings.rate_limits:
        found.append("TROUPE_RATE_LIMITS=false: whoever wants to could try passwords without end.")
    if (mode := environment.get("RAY_AUTH_MODE", "token")) != "token":
        found.append(f"RAY_AUTH_MODE={mode}: Ray would run anybody's code; it must be token, or unset.")
    return found
