"""A real SMTP server on this machine, in a thread of its own, which answers as it is told to."""

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from tests.contract.certificates import self_signed

USER, PASSWORD = "shop", "s3cret/word"


class PostOffice:
    """What it takes, and what it says instead when it is told to: `says["RCPT"] = "550 5.1.1 nobody"`.

    Commands: MAIL, RCPT, DATA. `breaks_off`: the connection is cut once it has the mail, before it answers.
    """

    def __init__(self) -> None:
        self.taken: list[Envelope] = []
        self.says: dict[str, str] = {}
        self.breaks_off = False
        self.connections = 0
        self.tls: list[bool] = []
        self.users: list[bytes] = []
        self._sessions: list[tuple[SMTP, Session]] = []

    async def handle_EHLO(
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        if not any(one is session for _, one in self._sessions):
            self._sessions.append((server, session))
            self.connections += 1
        return responses

    async def handle_MAIL(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any) -> str:
        if "MAIL" in self.says:
            return self.says["MAIL"]
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any) -> str:
        if "RCPT" in self.says:
            return self.says["RCPT"]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if "DATA" in self.says:
            return self.says["DATA"]
        self.taken.append(envelope)
        self.tls.append(session.ssl is not None)
        if self.breaks_off:
            assert isinstance(server.transport, asyncio.Transport)
            server.transport.abort()
        return "250 OK"

    def hang_up(self) -> None:
        """Every connection that there is ends, as with a server that had enough of an idle client."""
        for server, _ in self._sessions:
            if server.transport is not None:
                server.loop.call_soon_threadsafe(server.transport.close)

    def authenticate(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        self.users.append(data.login)
        right = (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        return AuthResult(success=right, handled=right)


@contextmanager
def smtp_server(office: PostOffice, port: int, tls: Path | None = None) -> Iterator[Path | None]:
    """It runs until the block ends. `tls`: a folder for its certificate, whose file is yielded: then it wants STARTTLS
    and a user before anything else.
    """
    more: dict[str, Any] = {}
    certificate = None
    if tls is not None:
        pair = self_signed(tls)
        certificate = pair.certificate
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(pair.certificate, pair.key)
        more = {
            "tls_context": context,
            "require_starttls": True,
            "auth_required": True,
            "authenticator": office.authenticate,
        }
    controller = Controller(office, hostname="127.0.0.1", port=port, **more)
    controller.start()
    try:
        yield certificate
    finally:
        controller.stop()
