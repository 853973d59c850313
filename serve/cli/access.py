"""How commands on the shop's machine call it: over HTTP, with a token made from the keys in its data folder."""

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx
import typer
from rich.console import Console

from serve import processes
from serve.gateway.tokens import Tokens
from serve.kept_secrets import keys_of
from serve.settings import Settings
from serve.users.store import open_engine

OPERATOR = "operator"
SECONDS = 60.0

console = Console(stderr=True, soft_wrap=True)


async def staff_token(settings: Settings) -> str:
    """A staff access token of a few minutes. Who can read the folder's keys could sign it by any other way too."""
    engine = open_engine(settings.database_url("users"))
    try:
        return await Tokens(keys_of(settings, engine)).access(OPERATOR, ("staff",), OPERATOR)
    finally:
        await asyncio.to_thread(engine.dispose)


class Operator(httpx.Auth):
    """Staff authentication whose token is made anew before it ends."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._token = ""
        self._made = 0.0
        self._making = asyncio.Lock()

    async def async_auth_flow(self, request):  # type: ignore[no-untyped-def]
        async with self._making:
            now = asyncio.get_running_loop().time()
            if not self._token or now - self._made > self._settings.access_token_seconds / 2:
                self._token, self._made = await staff_token(self._settings), now
        request.headers["Authorization"] = f"Bearer {self._token}"
        yield request


def client(settings: Settings, connections: int = 64) -> httpx.AsyncClient:
    """A client of the running shop with staff rights."""
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    return httpx.AsyncClient(base_url=url_of(settings), auth=Operator(settings), limits=limits, timeout=SECONDS)


def ask(
    settings: Settings,
    method: str,
    path: str,
    body: Any = None,
    *,
    query: Mapping[str, Any] | None = None,
    seconds: float = SECONDS,
) -> dict[str, Any]:
    """What the running shop answers to staff. Ends the command if none runs on the data folder, or it refuses."""
    needs_running(settings)

    async def call() -> httpx.Response:
        async with client(settings) as http:
            return await http.request(method, path, json=body, params=query, timeout=seconds)

    try:
        response = asyncio.run(call())
    except httpx.HTTPError as error:
        console.print(f"[red]The shop does not answer: {type(error).__name__}.")
        raise typer.Exit(1) from None
    if response.is_error:
        console.print(response.json().get("detail", response.text), style="red", markup=False)
        raise typer.Exit(1)
    answer: dict[str, Any] = response.json()
    return answer


def url_of(settings: Settings) -> str:
    running = processes.noted(settings.data_dir)
    return running.url if running is not None else settings.url


def needs_running(settings: Settings) -> None:
    """Ends the command if no shop runs on the data folder."""
    running = processes.noted(settings.data_dir)
    if running is None or not processes.alive(running):
        console.print(f"[red]No shop runs on {settings.data_dir}. Start it with `troupe run`, or set TROUPE_DATA_DIR.")
        raise typer.Exit(1)
