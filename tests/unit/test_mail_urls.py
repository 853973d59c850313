"""Where mails and texts go out, as the settings say it, and which adapter that is."""

from pathlib import Path
from typing import Any

import pytest

from serve.notifications.choosing import mailer_of, texter_of
from serve.notifications.mail_urls import AwsPlace, SmtpPlace, mail_place, text_place, topic_region
from serve.notifications.mailer import FolderMailer
from serve.notifications.ses import SesMailer
from serve.notifications.smtp import SmtpMailer
from serve.notifications.sns_texts import SnsTexter
from serve.settings import load
from serve.settings_errors import SettingsError


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("smtp://u:p%40w@mail.example", SmtpPlace("mail.example", 587, "u", "p@w", "starttls", "")),
        ("smtp://mail.example:25?ca=/etc/ca.pem", SmtpPlace("mail.example", 25, "", "", "starttls", "/etc/ca.pem")),
        ("smtps://u:p@mail.example/", SmtpPlace("mail.example", 465, "u", "p", "tls", "")),
        ("smtp://localhost:1025?tls=off", SmtpPlace("localhost", 1025, "", "", "off", "")),
        ("ses://eu-west-1", AwsPlace("eu-west-1", "", "")),
        (
            "ses://us-gov-east-1?configuration_set=shop&endpoint=http://127.0.0.1:5000",
            AwsPlace("us-gov-east-1", "http://127.0.0.1:5000", "shop"),
        ),
    ],
)
def test_where_mails_go(url: str, place: SmtpPlace | AwsPlace) -> None:
    assert mail_place(url) == place


@pytest.mark.parametrize(
    "url",
    [
        "mail.example",
        "http://mail.example",
        "smtp://",
        "smtp://u@mail.example",
        "smtp://u:hush@mail.example?tls=off",
        "smtps://mail.example?tls=off",
        "smtp://mail.example?tls=maybe",
        "smtp://mail.example/inbox",
        "smtp://mail.example?verify=no",
        "smtp://u:hush@mail.example:99999",
        "ses://",
        "ses://key:hush@eu-west-1",
        "ses://eu-west-1?sender=SHOP",
        "ses://eu-west-1?configuration_set=a+b",
        "ses://eu-west-1?endpoint=ftp://x",
        "sns://eu-west-1",
    ],
)
def test_what_is_no_place_for_mails_is_said_without_a_password(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(mail_url=url)
    assert str(caught.value).startswith("TROUPE_MAIL_URL: ")
    assert "hush" not in str(caught.value)


def test_where_texts_go() -> None:
    assert text_place("sns://eu-west-1?sender=SHOP") == AwsPlace("eu-west-1", "", "SHOP")
    for url in (
        "ses://eu-west-1",
        "sns://nowhere",
        "sns://eu-west-1?sender=12345",
        "sns://eu-west-1?sender=TOOLONGANAME",
    ):
        with pytest.raises(SettingsError, match="TROUPE_TEXTS_URL"):
            load(texts_url=url)


def test_topics() -> None:
    assert topic_region("arn:aws:sns:eu-west-1:123456789012:mail") == "eu-west-1"
    for arn in ("mail", "arn:aws:sqs:eu-west-1:123456789012:mail", "arn:aws:sns:eu-west-1:1:mail"):
        with pytest.raises(SettingsError, match="TROUPE_MAIL_TOPIC"):
            load(mail_topic=arn)


def test_who_mails_come_from() -> None:
    assert load(mail_from="shop@bücher.example").mail_from == "shop@xn--bcher-kva.example"
    with pytest.raises(SettingsError, match="TROUPE_MAIL_FROM"):
        load(mail_from="Shop <shop@shop.example>")


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({}, FolderMailer),
        ({"mail_url": ""}, FolderMailer),
        ({"mail_url": "smtp://mail.example"}, SmtpMailer),
        ({"mail_url": "ses://eu-west-1"}, SesMailer),
    ],
)
async def test_the_settings_choose(given: dict[str, Any], kind: type[Any], tmp_path: Path) -> None:
    settings, folder = load(data_dir=tmp_path, **given), FolderMailer(tmp_path / "mail")
    mailer = mailer_of(settings, folder)
    assert type(mailer) is kind
    assert (mailer is folder) == (kind is FolderMailer)
    assert texter_of(settings) is None
    await mailer.close()


async def test_texts_are_off_unless_they_are_set(tmp_path: Path) -> None:
    texter = texter_of(load(data_dir=tmp_path, texts_url="sns://eu-west-1"))
    assert isinstance(texter, SnsTexter)
    await texter.close()
