"""Calls to AWS, off the event loop: in few threads, with deadlines, each made once, and with errors that say whether
the call may have been carried out.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    ProxyConnectionError,
    SSLError,
)

from serve.notifications.mail_urls import AwsPlace
from serve.notifications.mailer import MailNotSent, ServerAway, Throttled

AT_ONCE = 16
"""Calls, and threads for them; as many as a flow has messages at work."""
QUEUE_SECONDS = 5.0
CONNECT_SECONDS = 3.0
READ_SECONDS = 14.0
"""With the two others less than a channel allows, so that it is here that a call ends."""
DAILY_PAUSE = 60.0
_THROTTLES = ("Throttling", "ThrottlingException", "Throttled", "ThrottledException", "TooManyRequestsException")
_LIMITS = ("LimitExceededException", "RequestLimitExceeded")


class AwsRefused(Exception):
    """AWS understood the call, and will say the same if it is asked again. `code`: AWS's own."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class AwsCalls:
    """`service`: as boto3 calls it. For one event loop. Its client is made at the first call: that takes its time."""

    def __init__(self, service: str, place: AwsPlace) -> None:
        self._service = service
        self._place = place
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix=service)
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._making: asyncio.Future[Any] | None = None
        self._client: Any = None

    async def call(self, name: str, **given: Any) -> Any:
        """The answer to one call, made once.

        Raises AwsRefused, MailNotSent (it was certainly not carried out), Throttled or ServerAway; any other error:
        whether it was carried out is unknown.
        """
        try:
            async with asyncio.timeout(QUEUE_SECONDS):
                client = await self._made()
                await self._slots.acquire()
        except TimeoutError:
            raise MailNotSent(f"all calls to {self._service} are busy") from None
        running = asyncio.get_running_loop().run_in_executor(self._threads, _call, getattr(client, name), given)
        # The thread has its place until it ends, whoever still waits for it.
        running.add_done_callback(self._ended)
        return await asyncio.shield(running)

    async def close(self) -> None:
        """Waits for what is under way, which its deadlines bound."""
        await asyncio.to_thread(self._threads.shutdown)
        if self._client is not None:
            self._client.close()

    def _ended(self, running: "asyncio.Future[Any]") -> None:
        self._slots.release()
        if not running.cancelled():
            running.exception()  # somebody else may no longer be there to take it

    async def _made(self) -> Any:
        if self._client is None:
            if self._making is None:
                self._making = asyncio.get_running_loop().run_in_executor(self._threads, self._make)
            try:
                # On a busy machine it may take longer than a call can wait: the next one finds it done.
                self._client = await asyncio.shield(self._making)
            except ServerAway:
                self._making = None
                raise
        return self._client

    def _make(self) -> Any:
        config = Config(
            region_name=self._place.region,
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            max_pool_connections=AT_ONCE,
            # Its own tries would send twice what it had no answer to, and nobody would know.
            retries={"total_max_attempts": 1, "mode": "standard"},
        )
        try:
            # A session of its own: boto3's is not for several threads.
            session = boto3.session.Session()
            return session.client(self._service, config=config, endpoint_url=self._place.endpoint or None)
        except BotoCoreError as error:  # a profile that is not there
            raise ServerAway(_named(error)) from None


def _call(call: Callable[..., Any], given: dict[str, Any]) -> Any:
    try:
        return call(**given)
    except ClientError as error:
        raise _answered(error) from None
    except (EndpointConnectionError, ConnectTimeoutError, ProxyConnectionError) as error:
        raise ServerAway(_named(error)) from None
    except SSLError as error:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            raise ServerAway(_named(error)) from None
        raise TimeoutError(_named(error)) from None
    except HTTPClientError as error:
        raise TimeoutError(f"no answer: {_named(error)}") from None
    except BotoCoreError as error:  # no credentials, or what is asked for is no call: nothing went out
        raise ServerAway(_named(error)) from None


def _answered(error: ClientError) -> Exception:
    found = error.response.get("Error", {})
    code, message = str(found.get("Code", "")), str(found.get("Message", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    told = f"{code}: {message}"
    if code in _LIMITS or "daily" in message.lower():
        return Throttled(told, DAILY_PAUSE)
    if code in _THROTTLES or status == 429:
        return Throttled(told)
    if status == 503:
        return ServerAway(told)
    if status >= 500:
        return TimeoutError(f"it failed: {told}")
    if status in (401, 403):
        return ServerAway(told)
    return AwsRefused(code, message)


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
