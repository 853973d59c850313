"""The port to a mail server, and the adapter for a machine without one: a folder of .eml files."""

import asyncio
import os
import time
from contextlib import suppress
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

from pipelines.gathering import Gathering

MOST_AT_ONCE = 32
LEFT_OVER_SECONDS = 3600
"""Age of a half-written file whose writer is certainly gone."""


ROWS_DOMAIN = "shop.example"
"""Stands in rows, and for the names of files: a shop may get another domain, and is to know its old mails."""


class MailRejected(Exception):
    """The server will never take this mail."""


class MailNotSent(ConnectionError):
    """It was certainly not sent: the server is away or busy. It may be tried again at once."""


class ServerAway(MailNotSent):
    """No mail can be sent now, whichever it is: the server is away, or does not take us."""


class Throttled(MailNotSent):
    """The server wants fewer mails. `wish`: seconds without any, as far as it said so."""

    def __init__(self, reason: str, wish: float = 0.0) -> None:
        super().__init__(reason)
        self.wish = wish


class Outgoing(NamedTuple):
    """A mail: whom it goes to (an address alone), and all of it as it goes over the wire."""

    message_id: str
    to: str
    content: bytes


def row_of(local_part: str) -> str:
    """The id of the row of a mail, by the part of its Message-ID before the @."""
    return f"<{local_part}@{ROWS_DOMAIN}>"


class Mailer(Protocol):
    async def send(self, mail: Outgoing) -> None:
        """Hand the mail over. Raises MailRejected or MailNotSent; any other error: whether it was sent is unknown.

        A repetition comes under the same Message-ID.
        """

    async def most_per_second(self) -> float | None:
        """What the server allows; None: it does not say."""

    async def close(self) -> None:
        """Waits for what is being sent. Not to be used after it."""


class FolderMailer:
    """One file a mail, named after its Message-ID: sent twice, there is still one. A reader never sees half of one."""

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._waiting: Gathering[Outgoing, None] = Gathering(self._write, MOST_AT_ONCE)

    async def send(self, mail: Outgoing) -> None:
        if not mail.to or not mail.message_id:
            raise MailRejected("a mail needs somebody to go to, and a Message-ID")
        await self._waiting.add(mail)

    async def most_per_second(self) -> float | None:
        return None

    async def close(self) -> None:
        """Waits for what is being written."""
        await self._waiting.close()

    async def forget(self, before: int) -> int:
        """Deletes mails written before `before` (UTC, milliseconds), which hold names; answers how many."""
        return await asyncio.to_thread(self._delete, before / 1000)

    def path(self, message_id: str) -> Path:
        """Where the mail of this Message-ID, or of this row, stands: by the part before the @."""
        name = row_of(message_id.removeprefix("<").partition("@")[0])
        return self._folder / f"{blake2b(name.encode(), digest_size=12).hexdigest()}.eml"

    async def _write(self, mails: list[Outgoing]) -> list[Exception | None]:
        return await asyncio.to_thread(self._write_all, mails)

    def _write_all(self, mails: list[Outgoing]) -> list[Exception | None]:
        # All are written before the first is made safe: the disk then has to be waited for about once.
        parts = [_start(str(self.path(mail.message_id)), mail.content) for mail in mails]
        return [part if isinstance(part, MailNotSent) else _finish(part) for part in parts]

    def _delete(self, before: float) -> int:
        deleted = 0
        left_over = time.time() - LEFT_OVER_SECONDS
        with os.scandir(self._folder) as files:
            for file in files:
                age_limit = {".eml": before, ".part": left_over}.get(os.path.splitext(file.name)[1])
                # Another may have deleted it meanwhile.
                with suppress(FileNotFoundError):
                    if age_limit is not None and file.stat().st_mtime < age_limit:
                        os.unlink(file.path)
                        deleted += 1
        return deleted


class _Part(NamedTuple):
    """A mail that is written, and neither safe yet nor in its place."""

    file: BinaryIO
    name: str
    path: str


def _start(path: str, content: bytes) -> _Part | MailNotSent:
    # Two senders of the same mail write two parts; the last that is put in its place stands.
    name = f"{path}.{os.urandom(4).hex()}.part"
    try:
        part = _Part(open(name, "xb"), name, path)  # noqa: SIM115 (`_finish` closes it)
    except OSError as error:
        return MailNotSent(str(error))
    try:
        part.file.write(content)
        part.file.flush()
    except OSError as error:
        return _dropped(part, error)
    return part


def _finish(part: _Part) -> MailNotSent | None:
    try:
        with part.file:
            os.fsync(part.file.fileno())
        os.replace(part.name, part.path)
    except OSError as error:
        return _dropped(part, error)
    return None


def _dropped(part: _Part, error: OSError) -> MailNotSent:
    for undo in (part.file.close, partial(os.unlink, part.name)):
        with suppress(OSError):
            undo()
    return MailNotSent(str(error))
