"""Mail over SMTP against a real server: what each of its answers comes to, and how connections are used."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from serve.notifications import smtp
from serve.notifications.mail_urls import SmtpPlace
from serve.notifications.mailer import MailNotSent, MailRejected, Outgoing, ServerAway
from serve.notifications.smtp import SmtpMailer
from tests.contract.smtp_server import PASSWORD, USER, PostOffice, smtp_server
from tests.running import free_port

SENDER = "shop@shop.example"
MAIL = Outgoing("<one@shop.example>", "ada@example.com", b"Subject: One\r\n\r\nHello\r\n")


class World(NamedTuple):
    office: PostOffice
    mailer: SmtpMailer
    clock: list[float]

    async def fails(self, mail: Outgoing = MAIL) -> BaseException:
        (found,) = await asyncio.gather(self.mailer.send(mail), return_exceptions=True)
        assert found is not None
        return found


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def office(port: int) -> Iterator[PostOffice]:
    made = PostOffice()
    with smtp_server(made, port):
        yield made


@pytest.fixture
async def world(port: int, office: PostOffice) -> AsyncIterator[World]:
    clock = [0.0]
    mailer = SmtpMailer(SmtpPlace("127.0.0.1", port, "", "", "off", ""), SENDER, monotonic=lambda: clock[0])
    yield World(office, mailer, clock)
    await mailer.close()


@pytest.mark.parametrize(
    ("command", "says", "kind"),
    [
        ("RCPT", "550 5.1.1 no such user ada@example.com", MailRejected),
        ("RCPT", "450 4.2.1 greylisted", MailNotSent),
        ("RCPT", "554 5.7.1 relay access denied", MailNotSent),
        ("RCPT", "530 5.7.0 authentication required", ServerAway),
        ("MAIL", "553 5.7.1 not your address", ServerAway),
        ("MAIL", "451 4.3.2 later", MailNotSent),
        ("MAIL", "421 4.7.0 too many connections", MailNotSent),
        ("DATA", "552 5.3.4 too large", MailRejected),
        ("DATA", "554 5.6.0 not a mail", MailRejected),
        ("DATA", "550 5.7.1 looks like spam", MailNotSent),
        ("DATA", "452 4.3.1 disk full", MailNotSent),
    ],
)
async def test_what_an_answer_comes_to(world: World, command: str, says: str, kind: type[Exception]) -> None:
    world.office.says[command] = says
    assert type(await world.fails()) is kind
    world.office.says.clear()
    await world.mailer.send(MAIL)
    assert [(one.mail_from, one.rcpt_tos) for one in world.office.taken] == [(SENDER, ["ada@example.com"])]


async def test_a_connection_that_breaks_off_before_the_answer_leaves_it_unknown(world: World) -> None:
    world.office.breaks_off = True
    error = await world.fails()
    assert not isinstance(error, MailNotSent | MailRejected)
    assert len(world.office.taken) == 1
    world.office.breaks_off = False
    await world.mailer.send(MAIL)


async def test_connections_are_used_again_and_few(world: World) -> None:
    await asyncio.gather(*(world.mailer.send(MAIL._replace(message_id=f"<{n}@x>")) for n in range(30)))
    assert (len(world.office.taken), world.office.connections) == (30, smtp.CONNECTIONS)
    await world.mailer.send(MAIL)
    assert world.office.connections == smtp.CONNECTIONS


async def test_a_refusal_does_not_cost_the_connection(world: World) -> None:
    world.office.says["RCPT"] = "550 nobody"
    for _ in range(3):
        assert isinstance(await world.fails(), MailRejected)
    world.office.says.clear()
    await world.mailer.send(MAIL)
    assert world.office.connections == 1


async def test_one_that_the_server_ended_or_that_is_old_is_replaced(world: World) -> None:
    await world.mailer.send(MAIL)
    world.office.hang_up()
    await world.mailer.send(MAIL)
    assert world.office.connections == 2
    world.clock[0] += smtp.IDLE_SECONDS
    await world.mailer.send(MAIL)
    assert (len(world.office.taken), world.office.connections) == (3, 3)


async def test_a_connection_ends_after_so_many_mails(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smtp, "MAILS_EACH", 2)
    for _ in range(5):
        await world.mailer.send(MAIL)
    assert (len(world.office.taken), world.office.connections) == (5, 3)


async def test_nobody_at_the_port(port: int) -> None:
    mailer = SmtpMailer(SmtpPlace("127.0.0.1", port, "", "", "starttls", ""), SENDER)
    with pytest.raises(ServerAway):
        await mailer.send(MAIL)
    await mailer.close()


async def test_a_server_that_does_not_want_us_or_says_nothing_is_away(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smtp, "BEFORE_SECONDS", 0.1)
    said = [b"554 not you\r\n"]

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said.pop() if said else b"")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", port)
    mailer = SmtpMailer(SmtpPlace("127.0.0.1", port, "", "", "off", ""), SENDER)
    for _ in range(2):
        with pytest.raises(ServerAway):
            await mailer.send(MAIL)
    await mailer.close()
    server.close()


async def test_an_answer_that_does_not_come_is_unknown(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smtp, "ANSWER_SECONDS", 0.1)
    said = {b"EHLO": b"250 me", b"MAIL": b"250 ok", b"RCPT": b"250 ok", b"DATA": b"354 go"}

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 me\r\n")
        while line := await reader.readline():
            if (answer := said.get(line[:4].strip())) is not None:
                writer.write(answer + b"\r\n")
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", port)
    mailer = SmtpMailer(SmtpPlace("127.0.0.1", port, "", "", "off", ""), SENDER)
    with pytest.raises(TimeoutError) as caught:
        await mailer.send(MAIL)
    assert not isinstance(caught.value, MailNotSent)
    await mailer.close()
    server.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # aiosmtpd, of a broken handshake
async def test_over_tls_with_a_user(port: int, tmp_path: Path) -> None:
    office = PostOffice()
    with smtp_server(office, port, tmp_path) as certificate:
        place = SmtpPlace("127.0.0.1", port, USER, PASSWORD, "starttls", str(certificate))
        mailer = SmtpMailer(place, SENDER)
        await mailer.send(MAIL)
        await mailer.close()
        assert (len(office.taken), office.tls, office.users) == (1, [True], [USER.encode()])
        # A wrong password is the shop's fault, and nobody else's certificate is taken.
        for wrong in (place._replace(password="wrong"), place._replace(ca="")):
            mailer = SmtpMailer(wrong, SENDER)
            with pytest.raises(ServerAway) as caught:
                await mailer.send(MAIL)
            assert PASSWORD not in str(caught.value)
            await mailer.close()
        assert len(office.taken) == 1


async def test_a_password_never_goes_to_a_server_without_tls(world: World, port: int) -> None:
    mailer = SmtpMailer(SmtpPlace("127.0.0.1", port, USER, PASSWORD, "starttls", ""), SENDER)
    with pytest.raises(ServerAway):
        await mailer.send(MAIL)
    await mailer.close()
    assert (world.office.taken, world.office.users) == ([], [])
