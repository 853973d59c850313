"""The port to a mail server, and the adapter for a machine without one: a folder of .eml files."""

import asyncio
import os
from email.message import EmailMessage
from email.policy import SMTP
from hashlib import blake2b
from pathlib import Path
from typing import Protocol


class MailRejected(Exception):
    """The server will never take this mail."""


class MailNotSent(ConnectionError):
    """It was certainly not sent: the server is away or busy. It may be tried again at once."""


class Mailer(Protocol):
    async def send(self, message: EmailMessage) -> None:
        """Hand the mail over. Raises MailRejected or MailNotSent; any other error: whether it was sent is unknown.

        A repetition comes under the same Message-ID.
        """


class FolderMailer:
    """One file a mail, named after its Message-ID: sent twice, there is still one. A reader never sees half of one."""

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)

    async def send(self, message: EmailMessage) -> None:
        await asyncio.to_thread(self._write, message)

    def path(self, message_id: str) -> Path:
        """Where the mail of this Message-ID stands."""
        return self._folder / f"{blake2b(message_id.encode(), digest_size=12).hexdigest()}.eml"

    def _write(self, message: EmailMessage) -> None:
        if not message["To"] or not message["Message-ID"]:
            raise MailRejected("a mail needs To and Message-ID")
        path = self.path(message["Message-ID"])
        # Two senders of the same mail write two temporary files; the last rename stands.
        part = path.with_suffix(f".{os.urandom(4).hex()}.part")
        try:
            with part.open("xb") as file:
                file.write(message.as_bytes(policy=SMTP))
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise MailNotSent(str(error)) from error
