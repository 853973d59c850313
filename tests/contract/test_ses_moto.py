"""SES and SNS against moto, which stands in for AWS: it takes the calls, knows who is verified, and sends nothing.

What it does not do is in test_ses.py: it throttles nobody, loses no answer, and signs none of SNS's messages.
"""

import secrets
from collections.abc import AsyncIterator

import boto3
import pytest
from botocore.config import Config

from serve.notifications.mail_urls import AwsPlace
from serve.notifications.mailer import MailNotSent, MailRejected, Outgoing
from serve.notifications.ses import SesMailer
from serve.notifications.sns_texts import SnsTexter
from serve.notifications.text_channel import Text
from tests.aws_wire.running import KEYS
from tests.servers import address

pytestmark = pytest.mark.servers
REGION = "eu-west-1"


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> AwsPlace:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    return AwsPlace(REGION, address("MOTO"), "")


@pytest.fixture
async def mailer(place: AwsPlace) -> AsyncIterator[SesMailer]:
    made = SesMailer(place)
    yield made
    await made.close()


def mail(sender: str) -> Outgoing:
    name = secrets.token_hex(16)
    content = f"Message-ID: <{name}@x>\r\nFrom: {sender}\r\nTo: ada@example.com\r\nSubject: Hi\r\n\r\nHello\r\n"
    return Outgoing(f"<{name}@x>", "ada@example.com", content.encode())


async def test_an_address_that_is_not_verified_is_the_shops_fault_and_one_that_is_can_send(
    place: AwsPlace, mailer: SesMailer
) -> None:
    sender = f"shop-{secrets.token_hex(4)}@example.com"
    with pytest.raises(MailNotSent, match="Did not have authority"):
        await mailer.send(mail(sender))
    client = boto3.client(
        "sesv2", endpoint_url=place.endpoint, config=Config(region_name=REGION, connect_timeout=5, read_timeout=30)
    )
    client.create_email_identity(EmailIdentity=sender)
    client.close()
    await mailer.send(mail(sender))


async def test_texts_and_numbers_that_opted_out(place: AwsPlace) -> None:
    texter = SnsTexter(place._replace(name="SHOP"))
    await texter.send(Text("+447700900461", "Hello"))
    with pytest.raises(MailRejected):
        await texter.send(Text("+447700900499", "Hello"))  # moto: numbers that end with 99 have
    await texter.close()
