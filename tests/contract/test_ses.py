"""Mail over SES and texts over SNS, against a process with their interface that fails as it is told to."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from serve.notifications import aws_calls
from serve.notifications.mail_urls import AwsPlace
from serve.notifications.mailer import MailNotSent, MailRejected, Outgoing, ServerAway, Throttled
from serve.notifications.ses import SesMailer
from serve.notifications.sns_texts import SnsTexter
from serve.notifications.text_channel import Text
from tests.aws_wire.running import KEYS, AwsWire, aws_wire
from tests.running import free_port

MAIL = Outgoing("<0123abcd@shop.example>", "ada@example.com", b"Message-ID: <0123abcd@shop.example>\r\n\r\nHello\r\n")
TEXT = Text("+447700900461", "Troupe: your order is on its way. Käse")


@pytest.fixture(scope="module")
def running() -> Iterator[AwsWire]:
    with aws_wire() as made:
        yield made


@pytest.fixture
def wire(running: AwsWire, monkeypatch: pytest.MonkeyPatch) -> AwsWire:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    # On a busy machine boto3 takes its time to make a client.
    monkeypatch.setattr(aws_calls, "QUEUE_SECONDS", 60.0)
    running.pull("reset")
    return running


@pytest.fixture
async def ses(wire: AwsWire) -> AsyncIterator[SesMailer]:
    made = SesMailer(AwsPlace("eu-west-1", wire.url, "shop"))
    yield made
    await made.close()


@pytest.fixture
async def sns(wire: AwsWire) -> AsyncIterator[SnsTexter]:
    made = SnsTexter(AwsPlace("eu-west-1", wire.url, "SHOP"))
    yield made
    await made.close()


async def test_a_mail_goes_out_with_its_set_and_its_tag_and_ses_names_it_anew(wire: AwsWire, ses: SesMailer) -> None:
    await ses.send(MAIL)
    [mail] = wire.mails()
    assert (mail["to"], mail["set"], mail["tags"]) == (["ada@example.com"], "shop", {"mail": "0123abcd"})
    assert mail["raw"].encode() == MAIL.content
    assert mail["delivered_as"] != mail["message_id"] == MAIL.message_id


@pytest.mark.parametrize(
    ("status", "code", "message", "kind"),
    [
        (429, "TooManyRequestsException", "Maximum sending rate exceeded.", Throttled),
        (400, "ThrottlingException", "Rate exceeded", Throttled),
        (400, "LimitExceededException", "Too many of them.", Throttled),
        (400, "MessageRejected", "Transaction failed: Invalid content.", MailRejected),
        (400, "MessageRejected", "Email address is not verified.", ServerAway),
        (400, "MessageRejected", "Something that nobody has heard of.", MailNotSent),
        (400, "MailFromDomainNotVerifiedException", "", ServerAway),
        (400, "AccountSuspendedException", "", ServerAway),
        (400, "SendingPausedException", "", ServerAway),
        (404, "NotFoundException", "Configuration set shop does not exist.", ServerAway),
        (400, "BadRequestException", "Something about ada@example.com", MailNotSent),
        (403, "AccessDeniedException", "not for you", ServerAway),
        (403, "UnrecognizedClientException", "The security token is invalid.", ServerAway),
        (503, "ServiceUnavailable", "", ServerAway),
        (500, "InternalFailure", "", TimeoutError),
    ],
)
async def test_what_an_answer_comes_to(
    wire: AwsWire, ses: SesMailer, status: int, code: str, message: str, kind: type[Exception]
) -> None:
    wire.pull("fault", {"status": status, "code": code, "message": message, "times": 1})
    with pytest.raises(kind) as caught:
        await ses.send(MAIL)
    assert caught.type is kind
    assert len(wire.pull("state")["calls"]) == 1  # nobody tries again by himself
    await ses.send(MAIL)
    assert len(wire.mails()) == 1


async def test_a_quota_that_is_used_up_asks_for_a_long_pause(wire: AwsWire, ses: SesMailer) -> None:
    wire.pull("fault", {"status": 429, "code": "TooManyRequestsException", "message": "Daily message quota exceeded."})
    with pytest.raises(Throttled) as caught:
        await ses.send(MAIL)
    assert caught.value.wish == 60.0


async def test_an_answer_that_breaks_off_or_does_not_come_is_unknown(
    wire: AwsWire, ses: SesMailer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aws_calls, "READ_SECONDS", 0.3)
    for fault in ({"lost": True, "times": 1}, {"seconds": 0.6, "times": 1}):
        wire.pull("fault", fault)
        with pytest.raises(TimeoutError) as caught:
            await ses.send(MAIL)
        assert not isinstance(caught.value, MailNotSent)
    assert [one["message_id"] for one in wire.mails()][:1] == [MAIL.message_id]


async def test_nobody_there_and_no_keys(wire: AwsWire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobodys")
    unknown = SesMailer(AwsPlace("eu-west-1", wire.url, ""))
    for _ in range(2):
        with pytest.raises(ServerAway, match="ProfileNotFound"):
            await unknown.send(MAIL)
    await unknown.close()
    monkeypatch.delenv("AWS_PROFILE")
    away = SesMailer(AwsPlace("eu-west-1", f"http://127.0.0.1:{free_port()}", ""))
    with pytest.raises(ServerAway):
        await away.send(MAIL)
    assert await away.most_per_second() is None
    await away.close()
    for name in KEYS:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    without = SesMailer(AwsPlace("eu-west-1", wire.url, ""))
    with pytest.raises(ServerAway):
        await without.send(MAIL)
    await without.close()


async def test_the_accounts_rate_is_asked(ses: SesMailer) -> None:
    assert await ses.most_per_second() == 14.0


async def test_calls_are_off_the_event_loop_and_bounded(
    wire: AwsWire, ses: SesMailer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await ses.most_per_second() == 14.0
    monkeypatch.setattr(aws_calls, "QUEUE_SECONDS", 0.2)
    wire.pull("fault", {"seconds": 0.6})
    sendings = asyncio.gather(*(ses.send(MAIL) for _ in range(20)), return_exceptions=True)
    turns = 0
    while not sendings.done():
        await asyncio.sleep(0.01)  # the loop is free meanwhile
        turns += 1
    outcomes = [type(one) for one in await sendings]
    assert set(outcomes) == {MailNotSent, type(None)}
    assert len(wire.mails()) == outcomes.count(type(None)) <= aws_calls.AT_ONCE
    assert turns > 5


async def test_a_text_goes_out(wire: AwsWire, sns: SnsTexter) -> None:
    await sns.send(TEXT)
    assert wire.texts() == [{"to": TEXT.to, "words": TEXT.words}]


async def test_who_opted_out_gets_none(wire: AwsWire, sns: SnsTexter) -> None:
    wire.pull("opted_out", [TEXT.to])
    with pytest.raises(MailRejected):
        await sns.send(TEXT)
    assert wire.texts() == []


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"status": 400, "code": "InvalidParameter", "message": "Invalid parameter: PhoneNumber"}, MailRejected),
        ({"status": 400, "code": "Throttling", "message": "Rate exceeded"}, Throttled),
        ({"status": 403, "code": "AuthorizationError", "message": "no"}, ServerAway),
        ({"status": 500, "code": "InternalError", "message": ""}, MailNotSent),  # of the question before it
    ],
)
async def test_what_an_answer_about_a_text_comes_to(
    wire: AwsWire, sns: SnsTexter, fault: dict[str, Any], kind: type[Exception]
) -> None:
    wire.pull("fault", fault)
    with pytest.raises(kind) as caught:
        await sns.send(TEXT)
    assert caught.type is kind
    assert wire.texts() == []
