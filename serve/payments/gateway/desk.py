"""Where the test gateway's book is kept and its webhooks are sent: in the shop's process, or inside a Ray actor."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from serve.gateway.clock import now_ms
from serve.payments.gateway.book import GatewayBook
from serve.payments.gateway.calls import Account, Call, Reply
from serve.payments.gateway.webhooks import Deliver, WebhookSender


class GatewayDesk:
    """Owns the book, the thread that writes in it, and the task that sends webhooks."""

    def __init__(self, book: GatewayBook, *, secret: str, deliver: Deliver) -> None:
        self._book = book
        self._thread = ThreadPoolExecutor(1, "gateway-book")
        self._sender = WebhookSender(book, secret, deliver, now_ms)
        self._sending: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Send webhooks from now on. Needs a running loop; a second call changes nothing."""
        if self._sending is None:
            self._sending = asyncio.get_running_loop().create_task(self._sender.run(), name="gateway-webhooks")

    async def carry_out(self, calls: Sequence[Call]) -> list[Reply]:
        """Answers in the order of the calls. Raises sqlite3.Error if the book could not be written."""
        self.start()
        replies = await asyncio.get_running_loop().run_in_executor(self._thread, self._book.carry_out, calls)
        self._sender.wake()
        return replies

    async def accounts(self, after: str = "", limit: int = 1000) -> list[Account]:
        """See GatewayBook.accounts."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._book.accounts, after, limit)

    async def stop(self) -> None:
        """Stop sending, finish writing, close the file."""
        if self._sending is not None:
            self._sending.cancel()
            with suppress(asyncio.CancelledError):
                await self._sending
            self._sending = None
        await asyncio.to_thread(self._thread.shutdown)
        self._book.close()
