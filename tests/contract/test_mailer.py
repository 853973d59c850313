"""What every mailer must do, against each adapter of the port: a folder, a real SMTP server, and SES's interface."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import NamedTuple

import pytest

from serve.notifications.mail_urls import AwsPlace, SmtpPlace
from serve.notifications.mailer import FolderMailer, Mailer, MailNotSent, MailRejected, Outgoing
from serve.notifications.ses import SesMailer
from serve.notifications.smtp import SmtpMailer
from tests.aws_wire.running import KEYS, AwsWire, aws_wire
from tests.contract.smtp_server import PostOffice, smtp_server
from tests.running import free_port


class Inbox(NamedTuple):
    """`mails`: what an adapter has sent."""

    mailer: Mailer
    mails: Callable[[], list[EmailMessage]]


def read(raw: bytes) -> EmailMessage:
    found = message_from_bytes(raw, policy=policy.default)
    assert isinstance(found, EmailMessage)
    return found


@pytest.fixture(scope="module")
def wire() -> Iterator[AwsWire]:
    with aws_wire() as running:
        yield running


@pytest.fixture
def in_folder(tmp_path: Path) -> Inbox:
    folder = tmp_path / "mail"
    return Inbox(FolderMailer(folder), lambda: [read(path.read_bytes()) for path in sorted(folder.glob("*.eml"))])


@pytest.fixture
def over_smtp() -> Iterator[Inbox]:
    office, port = PostOffice(), free_port()
    with smtp_server(office, port):
        mailer = SmtpMailer(SmtpPlace("127.0.0.1", port, "", "", "off", ""), "shop@shop.example")
        yield Inbox(mailer, lambda: [read(_bytes(one.content)) for one in office.taken])


@pytest.fixture
def over_ses(wire: AwsWire, monkeypatch: pytest.MonkeyPatch) -> Inbox:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    wire.pull("reset")
    mailer = SesMailer(AwsPlace("eu-west-1", wire.url, "shop"))
    return Inbox(mailer, lambda: [read(one["raw"].encode("latin-1")) for one in wire.mails()])


@pytest.fixture(params=["in_folder", "over_smtp", "over_ses"])
async def inbox(request: pytest.FixtureRequest) -> AsyncIterator[Inbox]:
    found: Inbox = request.getfixturevalue(request.param)
    yield found
    await found.mailer.close()


def _bytes(content: object) -> bytes:
    assert isinstance(content, bytes)
    return content


def message(message_id: str = "<one@shop.example>", to: str = "ada@example.com") -> Outgoing:
    made = EmailMessage()
    made["From"] = "Shop <shop@shop.example>"
    made["To"] = f"Ada Löfgren <{to}>" if to else ""
    made["Subject"] = "Grüße"
    made["Message-ID"] = message_id
    made.set_content("Zwölf Boxkämpfer\n.\n..two points\n", cte="quoted-printable")
    made.add_alternative("<p>Zwölf</p>\n", subtype="html")
    return Outgoing(message_id, to, made.as_bytes(policy=policy.SMTP))


async def test_a_mail_arrives_whole(inbox: Inbox) -> None:
    await inbox.mailer.send(message())
    [mail] = inbox.mails()
    assert (mail["Subject"], mail["To"], mail["Message-ID"]) == (
        "Grüße",
        "Ada Löfgren <ada@example.com>",
        "<one@shop.example>",
    )
    plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert plain is not None
    assert html is not None
    assert [part.get_content().splitlines() for part in (plain, html)] == [
        ["Zwölf Boxkämpfer", ".", "..two points"],
        ["<p>Zwölf</p>"],
    ]


async def test_a_mail_without_a_reader_is_rejected(inbox: Inbox) -> None:
    with pytest.raises(MailRejected):
        await inbox.mailer.send(message(to=""))
    assert inbox.mails() == []


async def test_a_repetition_keeps_its_message_id(inbox: Inbox) -> None:
    await asyncio.gather(*(inbox.mailer.send(message()) for _ in range(5)), inbox.mailer.send(message("<two@x>")))
    assert {mail["Message-ID"] for mail in inbox.mails()} == {"<one@shop.example>", "<two@x>"}


# The folder's own part.


async def test_the_folder_keeps_one_file_a_mail_and_no_parts(tmp_path: Path) -> None:
    mailer = FolderMailer(tmp_path)
    await asyncio.gather(*(mailer.send(message()) for _ in range(5)))
    assert list(tmp_path.iterdir()) == [mailer.path("<one@shop.example>")]  # noqa: ASYNC240


async def test_a_message_id_cannot_leave_the_folder(tmp_path: Path) -> None:
    mailer = FolderMailer(tmp_path / "mail")
    await mailer.send(message("<../../evil@x>"))
    assert [path.parent for path in tmp_path.rglob("*.eml")] == [tmp_path / "mail"]  # noqa: ASYNC240


async def test_a_folder_that_is_gone_sends_nothing(tmp_path: Path) -> None:
    mailer = FolderMailer(tmp_path / "mail")
    (tmp_path / "mail").rmdir()
    with pytest.raises(MailNotSent):
        await mailer.send(message())
    assert not (tmp_path / "mail").exists()


async def test_a_mail_that_cannot_be_written_stops_no_other(tmp_path: Path) -> None:
    mailer = FolderMailer(tmp_path)
    mailer.path("<2@x>").mkdir()
    sendings = (mailer.send(message(f"<{n}@x>")) for n in range(5))
    results = await asyncio.gather(*sendings, return_exceptions=True)
    assert [type(result) for result in results] == [MailNotSent if n == 2 else type(None) for n in range(5)]
    assert sorted(tmp_path.iterdir()) == sorted(mailer.path(f"<{n}@x>") for n in range(5))  # noqa: ASYNC240


async def test_old_mails_and_parts_are_forgotten(tmp_path: Path) -> None:
    mailer = FolderMailer(tmp_path)
    for name in ("old", "new"):
        await mailer.send(message(f"<{name}@x>"))
    for name in ("old.part", "new.part", "old.txt"):
        (tmp_path / name).touch()
    for path in (mailer.path("<old@x>"), tmp_path / "old.part", tmp_path / "old.txt"):
        os.utime(path, (1, 1))
    assert await mailer.forget(before=1_001) == 2
    assert {path.name for path in tmp_path.iterdir()} == {  # noqa: ASYNC240
        mailer.path("<new@x>").name,
        "new.part",
        "old.txt",
    }
