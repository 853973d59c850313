"""The way to Elasticsearch: a deadline on every call, and the errors that this program knows."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeVar

import msgspec
from elastic_transport import ConnectionTimeout, JsonSerializer, NdjsonSerializer, TransportError
from elasticsearch import ApiError, AsyncElasticsearch, NotFoundError

from actors.runtime.ports import Overloaded, Unavailable
from serve.circuit import Circuit
from serve.tls import Tls

SECONDS = 2.0
WRITING_SECONDS = 30.0
CONNECTIONS = 32
PREFIX = "troupe"

Answer = TypeVar("Answer")


class _Json(JsonSerializer):
    mimetype = "application/vnd.elasticsearch+json"

    def json_dumps(self, data: Any) -> bytes:
        return msgspec.json.encode(data)

    def json_loads(self, data: bytes) -> Any:
        return msgspec.json.decode(data)


class _Lines(NdjsonSerializer):
    mimetype = "application/vnd.elasticsearch+x-ndjson"

    def json_dumps(self, data: Any) -> bytes:
        return msgspec.json.encode(data)

    def json_loads(self, data: bytes) -> Any:
        return msgspec.json.decode(data)


class Access(NamedTuple):
    """Where the server is and how it is spoken to; there may be a password in it: never log it."""

    url: str
    api_key: str | None = None
    tls: Tls | None = None


def client_of(access: Access, seconds: float = SECONDS) -> AsyncElasticsearch:
    """To be closed. It tries once: who calls knows whether to try again."""
    # It would log each request, and with a failure the server's address.
    logging.getLogger("elastic_transport").setLevel(logging.ERROR)
    logging.getLogger("elasticsearch").setLevel(logging.ERROR)
    tls: dict[str, Any] = {} if access.tls is None else {"ssl_context": access.tls.context()}
    return AsyncElasticsearch(
        access.url,
        api_key=access.api_key,
        **tls,
        request_timeout=seconds,
        max_retries=0,
        retry_on_timeout=False,
        # A node that failed is tried again at once; how often is the circuit's to say.
        dead_node_backoff_factor=0,
        max_dead_node_backoff=0,
        connections_per_node=CONNECTIONS,
        serializers={_Json.mimetype: _Json(), _Lines.mimetype: _Lines()},
    )


class Asking:
    """Calls that somebody waits for. Raises Unavailable, Overloaded, or what the server says is wrong."""

    def __init__(self) -> None:
        self._circuit = Circuit("elasticsearch")

    async def ask(self, call: Callable[[], Awaitable[Answer]]) -> Answer:
        """NotFoundError: there is no such index."""
        if not self._circuit.may_try():
            raise Unavailable("search does not answer")
        try:
            answer = await self._once_more(call)
        except ApiError as error:
            if error.status_code == 429:
                raise Overloaded(1.0) from None
            if error.status_code < 500:
                self._circuit.worked()
                raise
            self._circuit.failed()
            raise Unavailable(f"search answers {error.status_code}") from None
        except TransportError:
            self._circuit.failed()
            raise Unavailable("search does not answer") from None
        self._circuit.worked()
        return answer

    async def _once_more(self, call: Callable[[], Awaitable[Answer]]) -> Answer:
        """An index whose place was just taken is gone, and so are connections to a server that was started again."""
        try:
            return await call()
        except ConnectionTimeout:
            raise
        except ApiError as error:
            if not isinstance(error, NotFoundError) and error.status_code < 500:
                raise
        except TransportError:
            pass
        return await call()
