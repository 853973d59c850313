"""What every mailer must do, run against each adapter of the port. SES and SMTP have no server here yet."""

import asyncio
from collections.abc import Callable
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest

from serve.notifications.mailer import FolderMailer, Mailer, MailNotSent, MailRejected


class Inbox:
    """Reads what an adapter has sent."""

    def __init__(self, mailer: Mailer, mails: Callable[[], list[EmailMessage]]) -> None:
        self.mailer = mailer
        self.mails = mails


@pytest.fixture(params=["folder"])
def inbox(request: pytest.FixtureRequest, tmp_path: Path) -> Inbox:
    folder = tmp_path / "mail"

    def mails() -> list[EmailMessage]:
        found = [message_from_bytes(path.read_bytes(), policy=policy.default) for path in sorted(folder.glob("*.eml"))]
        assert all(isinstance(one, EmailMessage) for one in found)
        return [one for one in found if isinstance(one, EmailMessage)]

    return Inbox(FolderMailer(folder), mails)


def message(message_id: str = "<one@shop.example>", to: str | None = "Ada Löfgren <ada@example.com>") -> EmailMessage:
    made = EmailMessage()
    made["From"] = "Shop <shop@shop.example>"
    if to is not None:
        made["To"] = to
    made["Subject"] = "Grüße"
    made["Message-ID"] = message_id
    made.set_content("Zwölf Boxkämpfer\n")
    made.add_alternative("<p>Zwölf</p>\n", subtype="html")
    return made


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
    assert [part.get_content().splitlines() for part in (plain, html)] == [["Zwölf Boxkämpfer"], ["<p>Zwölf</p>"]]


async def test_a_mail_without_a_reader_is_rejected(inbox: Inbox) -> None:
    with pytest.raises(MailRejected):
        await inbox.mailer.send(message(to=None))
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
