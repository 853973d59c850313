"""Mail over SMTP: connections are kept and used again, and each outcome is said as exactly as the server says it."""

import asyncio
import ssl
import time
from collections.abc import Callable
from contextlib import suppress

from aiosmtplib import SMTP, SMTPDataError, SMTPException, SMTPResponseException, SMTPServerDisconnected

from serve.notifications.mail_urls import SmtpPlace
from serve.notifications.mailer import MailNotSent, MailRejected, Outgoing, ServerAway

CONNECTIONS = 4
MAILS_EACH = 100
"""Then a connection is ended; many servers do it themselves."""
IDLE_SECONDS = 20.0
"""A connection that was unused for longer is not used again."""
BEFORE_SECONDS = 8.0
"""For everything before the mail itself: nothing has been sent when they are over."""
ANSWER_SECONDS = 14.0
"""For the mail and the answer to it; together with the others less than the channel allows."""
BYE_SECONDS = 2.0
_AUTH_WANTED = (530, 534, 535, 538)


class SmtpMailer:
    """Implements `Mailer`. `sender`: the address that mails are from. For one event loop."""

    def __init__(self, place: SmtpPlace, sender: str, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._place = place
        self._sender = sender
        self._now = monotonic
        self._idle: list[_Connection] = []
        self._slots = asyncio.Semaphore(CONNECTIONS)
        self._tls = None if place.tls == "off" else ssl.create_default_context(cafile=place.ca or None)

    async def most_per_second(self) -> float | None:
        return None

    async def send(self, mail: Outgoing) -> None:
        """As `Mailer.send`: what breaks once the mail itself is on its way is an unknown outcome."""
        if not mail.to or not mail.message_id:
            raise MailRejected("a mail needs somebody to go to, and a Message-ID")
        try:
            async with asyncio.timeout(BEFORE_SECONDS):
                await self._slots.acquire()
        except TimeoutError:
            raise MailNotSent("all connections are busy") from None
        try:
            await self._sent(mail)
        finally:
            self._slots.release()

    async def close(self) -> None:
        """Says goodbye on the connections that are kept."""
        idle, self._idle = self._idle, []
        await asyncio.gather(*(_bye(one.client) for one in idle))

    async def _sent(self, mail: Outgoing) -> None:
        connection = await self._ready(mail)
        client = connection.client
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await client.data(mail.content, timeout=ANSWER_SECONDS)
        except SMTPDataError as error:
            await self._reset(connection)
            raise _refused(error) from None
        except BaseException:
            client.close()
            raise
        connection.mails += 1
        await self._keep(connection)

    async def _ready(self, mail: Outgoing) -> "_Connection":
        """A connection whose server has taken the sender and the reader of the mail."""
        used: list[SMTP] = []
        try:
            async with asyncio.timeout(BEFORE_SECONDS):
                while (kept := self._kept()) is not None:
                    used.append(kept.client)
                    with suppress(SMTPServerDisconnected):  # the server had enough of it meanwhile
                        await self._envelope(kept, mail)
                        return kept
                fresh = _Connection(await self._connected(used), self._now())
                await self._envelope(fresh, mail)
                return fresh
        except MailNotSent:
            raise
        except (OSError, SMTPException) as error:  # a TimeoutError is one
            _close(used)
            raise ServerAway(_told(error)) from None
        except asyncio.CancelledError:
            _close(used)
            raise

    async def _envelope(self, connection: "_Connection", mail: Outgoing) -> None:
        client = connection.client
        try:
            await client.mail(self._sender)
        except SMTPResponseException as error:
            client.close()
            # It is no mail's fault: 5xx says that we may not send from this address.
            kind = MailNotSent if error.code < 500 else ServerAway
            raise kind(_told(error)) from None
        try:
            await client.rcpt(mail.to)
        except SMTPResponseException as error:
            await self._reset(connection)
            raise _refused(error) from None

    async def _connected(self, used: list[SMTP]) -> SMTP:
        place = self._place
        client = SMTP(
            hostname=place.host,
            port=place.port,
            username=place.user or None,
            password=place.password or None,
            use_tls=place.tls == "tls",
            start_tls=place.tls == "starttls",
            tls_context=self._tls,
            timeout=BEFORE_SECONDS,
            local_hostname=self._sender.rpartition("@")[2],
        )
        used.append(client)
        await client.connect()
        return client

    def _kept(self) -> "_Connection | None":
        while self._idle:
            connection = self._idle.pop()
            if connection.client.is_connected and self._now() - connection.since < IDLE_SECONDS:
                return connection
            connection.client.close()
        return None

    async def _keep(self, connection: "_Connection") -> None:
        """For the next mail."""
        if connection.mails >= MAILS_EACH:
            await _bye(connection.client)
        elif connection.client.is_connected:
            connection.since = self._now()
            self._idle.append(connection)

    async def _reset(self, connection: "_Connection") -> None:
        """After a refusal: kept, if it is still good for another mail."""
        try:
            await connection.client.rset(timeout=BYE_SECONDS)
        except (OSError, SMTPException):
            connection.client.close()
        await self._keep(connection)


class _Connection:
    """`since`: when it was last used."""

    def __init__(self, client: SMTP, since: float) -> None:
        self.client = client
        self.since = since
        self.mails = 0


def _refused(error: SMTPResponseException) -> MailRejected | MailNotSent:
    """What a refusal of a reader or of a mail means.

    Who must log in, and what is against a policy (5.7.x), is somebody's to look at: such mails are not thrown away.
    """
    told = _told(error)
    if error.code in _AUTH_WANTED:
        return ServerAway(told)
    if error.code < 500 or error.message.lstrip().startswith("5.7."):
        return MailNotSent(told)
    return MailRejected(told)


def _told(error: Exception) -> str:
    if isinstance(error, SMTPResponseException):
        return f"{error.code} {error.message}"
    return f"{type(error).__name__}: {error}"


def _close(clients: list[SMTP]) -> None:
    for client in clients:
        client.close()


async def _bye(client: SMTP) -> None:
    try:
        await client.quit(timeout=BYE_SECONDS)
    except (OSError, SMTPException):
        client.close()
