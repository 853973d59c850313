"""Which of the messages that are posted to us are SNS's, and where we call because of one."""

import asyncio
import base64
from collections.abc import Callable
from typing import Any

import httpx
import msgspec
import pytest

from serve.notifications import sns
from serve.notifications.sns import FUTURE_MS, OLDEST_MS, NotBelieved, NotReached, SnsMessage, SnsTopic, signed_text
from tests.unit.sns_signing import AT, CERTIFICATE, HOST, TOPIC, certificate, signed, subscription


class Sns:
    """SNS's own host, as far as it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.pem = certificate()
        self.fails: Exception | None = None

    async def fetch(self, url: str) -> bytes:
        self.asked.append(url)
        if self.fails is not None:
            raise self.fails
        return self.pem


@pytest.fixture
def host() -> Sns:
    return Sns()


@pytest.fixture
def topic(host: Sns) -> SnsTopic:
    return SnsTopic(TOPIC, host.fetch)


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("subject", [None, "Amazon SES Email Event Notification"])
async def test_what_sns_signed_is_believed_and_its_certificate_fetched_once(
    host: Sns, topic: SnsTopic, version: str, subject: str | None
) -> None:
    message = signed("{}", version=version, subject=subject)
    await asyncio.gather(*(topic.believe(message, AT) for _ in range(5)))
    assert host.asked == [CERTIFICATE]


def test_what_is_signed_is_what_the_documentation_says() -> None:
    assert signed_text(signed("hello", subject="S")) == (
        b"Message\nhello\nMessageId\nm1\nSubject\nS\nTimestamp\n2026-02-25T06:13:20.000Z\n"
        b"TopicArn\narn:aws:sns:eu-west-1:123456789012:mail\nType\nNotification\n"
    )
    assert signed_text(subscription()) == (
        b"Message\nYou have chosen to subscribe\nMessageId\nm1\nSubscribeURL\nhttps://evil.example/?confirm\n"
        b"Timestamp\n2026-02-25T06:13:20.000Z\nToken\nt/1\n"
        b"TopicArn\narn:aws:sns:eu-west-1:123456789012:mail\nType\nSubscriptionConfirmation\n"
    )


def _changed(**fields: Any) -> Callable[[SnsMessage], SnsMessage]:
    return lambda message: msgspec.structs.replace(message, **fields)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (_changed(message="another"), "the signature does not match"),
        (_changed(message_id="m2"), "the signature does not match"),
        (_changed(subject="S"), "the signature does not match"),
        (_changed(signature_version="1"), "the signature does not match"),
        (_changed(signature=base64.b64encode(b"x" * 256).decode()), "the signature does not match"),
        (_changed(signature="%"), "the signature is not base64"),
        (_changed(signature_version="3"), "no such version of signatures is known"),
        (_changed(timestamp="2026-02-25T06:13:20"), "it has no time"),
        (_changed(timestamp="yesterday"), "it has no time"),
    ],
)
async def test_what_was_changed_is_not_believed(
    topic: SnsTopic, change: Callable[[SnsMessage], SnsMessage], why: str
) -> None:
    with pytest.raises(NotBelieved, match=why):
        await topic.believe(change(signed("{}")), AT)


async def test_who_else_signs_is_not_believed(topic: SnsTopic) -> None:
    with pytest.raises(NotBelieved, match="does not match"):
        await topic.believe(signed("{}", by="mallory"), AT)


@pytest.mark.parametrize(
    "url",
    [
        CERTIFICATE.replace("https", "http"),
        CERTIFICATE.replace("eu-west-1", "us-east-1"),
        CERTIFICATE.replace("amazonaws.com", "amazonaws.com.evil.example"),
        CERTIFICATE.replace("sns.", "evil.example/sns."),
        CERTIFICATE.replace("https://", "https://evil.example@"),
        CERTIFICATE.replace("https://sns", "https://bucket.s3"),
        f"{HOST}/?Action=Anything&x=SimpleNotificationService-0123456789abcdef.pem",
        f"{HOST}/../SimpleNotificationService-0123456789abcdef.pem",
        "",
    ],
)
async def test_nobody_tells_us_where_to_call(host: Sns, topic: SnsTopic, url: str) -> None:
    with pytest.raises(NotBelieved, match="not at SNS's own address"):
        await topic.believe(signed("{}", signing_cert_url=url), AT)
    assert host.asked == []


async def test_another_topic_of_anybody_is_not_believed(host: Sns, topic: SnsTopic) -> None:
    for other in (TOPIC.replace("1234", "4321"), f"{TOPIC}2", ""):
        with pytest.raises(NotBelieved, match="another topic"):
            await topic.believe(signed("{}", topic_arn=other), AT)
    assert host.asked == []


async def test_old_messages_and_those_from_the_future_are_not_believed(topic: SnsTopic) -> None:
    message = signed("{}")
    for now in (AT + OLDEST_MS, AT - FUTURE_MS):
        await topic.believe(message, now)
    for now in (AT + OLDEST_MS + 1, AT - FUTURE_MS - 1):
        with pytest.raises(NotBelieved, match="too old, or from the future"):
            await topic.believe(message, now)


async def test_a_certificate_that_has_lapsed_or_is_none(host: Sns, topic: SnsTopic) -> None:
    host.pem = certificate("sns", days=-1)
    with pytest.raises(NotBelieved, match="not valid"):
        await topic.believe(signed("{}"), AT)
    host.pem = b"<html>"
    with pytest.raises(NotReached):
        await topic.believe(signed("{}"), AT)


async def test_a_certificate_that_does_not_come_is_asked_for_again(
    host: Sns, topic: SnsTopic, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.fails = httpx.ConnectError("away")
    with pytest.raises(NotReached):
        await topic.believe(signed("{}"), AT)
    host.fails = None
    await topic.believe(signed("{}"), AT)

    async def never(url: str) -> bytes:
        await asyncio.Event().wait()
        return b""

    monkeypatch.setattr(sns, "FETCH_SECONDS", 0.05)
    silent = SnsTopic(TOPIC, never)
    with pytest.raises(NotReached):
        await silent.believe(signed("{}"), AT)


async def test_few_certificates_are_kept(host: Sns, topic: SnsTopic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sns, "MOST_CERTIFICATES", 2)
    urls = [CERTIFICATE.replace("0123", f"{n:04}") for n in range(3)]
    for url in (*urls, urls[2], urls[0]):
        await topic.believe(signed("{}", signing_cert_url=url), AT)
    assert host.asked == [*urls, urls[0]]


async def test_a_subscription_is_confirmed_at_sns_and_nowhere_else(host: Sns, topic: SnsTopic) -> None:
    await topic.confirm(subscription())
    assert host.asked == [
        f"{HOST}/?Action=ConfirmSubscription&TopicArn=arn%3Aaws%3Asns%3Aeu-west-1%3A123456789012%3Amail&Token=t%2F1"
    ]
    host.fails = httpx.ReadTimeout("slow")
    with pytest.raises(NotReached):
        await topic.confirm(subscription())


def test_the_host_of_china_has_its_own_name() -> None:
    assert SnsTopic("arn:aws-cn:sns:cn-north-1:123456789012:mail")._host == "https://sns.cn-north-1.amazonaws.com.cn"
