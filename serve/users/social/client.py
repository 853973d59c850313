"""Calls to a provider: the OAuth client, a deadline for all of it, and what its failures mean."""

import asyncio
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from authlib.common.errors import AuthlibBaseError  # type: ignore[import-untyped]
from authlib.deprecate import AuthlibDeprecationWarning  # type: ignore[import-untyped]
from joserfc.errors import JoseError

from serve.gateway.logs import log
from serve.gateway.problems import Problem, declare

with warnings.catch_warnings():
    # It would rather have httpx2, which nothing else here needs.
    warnings.simplefilter("ignore", AuthlibDeprecationWarning)
    from authlib.integrations.httpx_client import AsyncOAuth2Client  # type: ignore[import-untyped]

declare("provider_unavailable", 503, "The provider does not answer")
declare("provider_unusable", 502, "The provider's answer cannot be used")
declare("provider_refused", 403, "The provider did not log you in")

SECONDS = 6.0
"""For all that a log-in asks of its provider; less than the caller's answer may take, so that it says who was late."""
_OURS = ("invalid_client", "unauthorized_client", "unsupported_grant_type", "redirect_uri_mismatch")


def oauth_client(
    client_id: str, secret: str, redirect_uri: str, scope: str, transport: httpx.AsyncBaseTransport | None, **more: Any
) -> Any:
    """One that proves by S256 that who comes back is who went."""
    return AsyncOAuth2Client(
        client_id,
        secret,
        redirect_uri=redirect_uri,
        scope=scope,
        code_challenge_method="S256",
        transport=transport,
        timeout=SECONDS,
        trust_env=False,
        **more,
    )


@asynccontextmanager
async def calling(provider: str) -> AsyncIterator[None]:
    """Raises Problem `provider_unavailable`, `provider_unusable` or `provider_refused` for what goes wrong inside."""
    try:
        async with asyncio.timeout(SECONDS):
            yield
    except (httpx.HTTPError, TimeoutError) as error:
        log(provider=provider).warning("provider unavailable", error=type(error).__name__)
        raise Problem(
            "provider_unavailable", f"{provider} did not answer in time; try again.", headers={"Retry-After": "5"}
        ) from None
    except AuthlibBaseError as error:
        code = str(error.error or "")
        log(provider=provider).warning("provider refused", error=code[:60])
        if code in _OURS:
            raise Problem("provider_unusable", f"{provider} does not accept this shop.") from None
        raise Problem("provider_refused", f"{provider} did not accept the log-in; start it again.") from None
    except (JoseError, httpx.InvalidURL, ValueError, KeyError, TypeError) as error:
        log(provider=provider).warning("provider unusable", exc_info=error)
        raise Problem("provider_unusable", f"{provider} answered with something that cannot be trusted.") from None


async def get_json(client: Any, url: str, *, known: bool = True, **params: str) -> Any:
    """`known`: with the access token."""
    headers = {"Accept": "application/json"}
    answer = await client.request("GET", url, params=params or None, headers=headers, withhold_token=not known)
    answer.raise_for_status()
    return answer.json()
