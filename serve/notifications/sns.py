"""Messages that Amazon SNS posts to us: which are to be believed. https://docs.aws.amazon.com/sns/ says how they are
signed. Nothing that a message says decides where we call: certificates come from SNS's own host in the topic's region.
"""

import asyncio
import base64
import binascii
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import urlencode

import httpx
import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from serve.notifications.mail_urls import topic_region

OLDEST_MS = 24 * 3_600_000
"""SNS tries for an hour, or as long as its delivery policy says."""
FUTURE_MS = 5 * 60_000
FETCH_SECONDS = 5.0
LARGEST_ANSWER = 100_000
MOST_CERTIFICATES = 8
_CERTIFICATE_PATH = re.compile(r"/SimpleNotificationService-[0-9a-f]{16,64}\.pem")
_SIGNED = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
}
_SIGNED_OF_SUBSCRIPTIONS = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")

Fetch = Callable[[str], Awaitable[bytes]]


class NotBelieved(Exception):
    """The message is not SNS's of our topic, or is too old. A text for whoever sent it."""


class NotReached(ConnectionError):
    """SNS's certificate could not be fetched, or a subscription not confirmed: it is to send the message again."""


class SnsMessage(msgspec.Struct, frozen=True, rename="pascal"):
    """What SNS posts; more may stand there."""

    type: Literal["Notification", "SubscriptionConfirmation", "UnsubscribeConfirmation"]
    message_id: str = msgspec.field(name="MessageId")
    topic_arn: str = msgspec.field(name="TopicArn")
    message: str = msgspec.field(name="Message")
    timestamp: str = msgspec.field(name="Timestamp")
    signature_version: str = msgspec.field(name="SignatureVersion")
    signature: str = msgspec.field(name="Signature")
    signing_cert_url: str = msgspec.field(name="SigningCertURL")
    subject: str | None = msgspec.field(name="Subject", default=None)
    subscribe_url: str | None = msgspec.field(name="SubscribeURL", default=None)
    token: str | None = msgspec.field(name="Token", default=None)


class SnsTopic:
    """`arn`: the one topic whose messages are believed. For one event loop."""

    def __init__(self, arn: str, fetch: Fetch | None = None) -> None:
        self._arn = arn
        suffix = ".cn" if arn.startswith("arn:aws-cn:") else ""
        self._host = f"https://sns.{topic_region(arn)}.amazonaws.com{suffix}"
        self._fetch = fetch or fetched
        # One fetch at a time: whoever makes up names of certificates makes us ask for few of them.
        self._fetching = asyncio.Lock()
        self._keys: OrderedDict[str, RSAPublicKey] = OrderedDict()

    async def believe(self, message: SnsMessage, now: int) -> None:
        """Returns if the message is SNS's, of the topic, and of the last day. `now`: UTC milliseconds.

        Raises NotBelieved or NotReached.
        """
        if message.topic_arn != self._arn:
            raise NotBelieved("it is of another topic")
        at = _milliseconds(message.timestamp)
        if not now - OLDEST_MS <= at <= now + FUTURE_MS:
            raise NotBelieved("it is too old, or from the future")
        algorithm: hashes.HashAlgorithm
        match message.signature_version:
            case "1":
                algorithm = hashes.SHA1()  # what SNS signs with unless it is told otherwise
            case "2":
                algorithm = hashes.SHA256()
            case _:
                raise NotBelieved("no such version of signatures is known")
        try:
            signature = base64.b64decode(message.signature, validate=True)
        except binascii.Error:
            raise NotBelieved("the signature is not base64") from None
        key = await self._key(message.signing_cert_url)
        try:
            key.verify(signature, signed_text(message), PKCS1v15(), algorithm)
        except InvalidSignature:
            raise NotBelieved("the signature does not match") from None

    async def confirm(self, message: SnsMessage) -> None:
        """Says yes to a subscription whose message was believed. Raises NotReached."""
        query = {"Action": "ConfirmSubscription", "TopicArn": self._arn, "Token": message.token or ""}
        await self._get(f"{self._host}/?{urlencode(query)}")

    async def _key(self, url: str) -> RSAPublicKey:
        if not url.startswith(f"{self._host}/") or not _CERTIFICATE_PATH.fullmatch(url[len(self._host) :]):
            raise NotBelieved("its certificate is not at SNS's own address")
        if (known := self._keys.get(url)) is not None:
            return known
        try:
            async with asyncio.timeout(2 * FETCH_SECONDS):
                await self._fetching.acquire()
        except TimeoutError:
            raise NotReached("others wait for certificates") from None
        try:
            if url not in self._keys:
                self._keys[url] = _public_key(await self._get(url))
                if len(self._keys) > MOST_CERTIFICATES:
                    self._keys.popitem(last=False)
            return self._keys[url]
        finally:
            self._fetching.release()

    async def _get(self, url: str) -> bytes:
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                return await self._fetch(url)
        except (TimeoutError, httpx.HTTPError, OSError) as error:
            raise NotReached(f"SNS could not be asked: {type(error).__name__}") from None


def signed_text(message: SnsMessage) -> bytes:
    """What SNS signed of a message."""
    names = _SIGNED.get(message.type, _SIGNED_OF_SUBSCRIPTIONS)
    fields = msgspec.to_builtins(message)
    return "".join(f"{name}\n{fields[name]}\n" for name in names if fields[name] is not None).encode()


async def fetched(url: str) -> bytes:
    """Follows nobody elsewhere. Raises httpx.HTTPError."""
    async with httpx.AsyncClient(timeout=FETCH_SECONDS) as client, client.stream("GET", url) as answer:
        answer.raise_for_status()
        found = b""
        async for piece in answer.aiter_bytes():
            found += piece
            if len(found) > LARGEST_ANSWER:
                raise httpx.DecodingError("the answer is too large")
        return found


def _public_key(pem: bytes) -> RSAPublicKey:
    try:
        certificate = x509.load_pem_x509_certificate(pem)
    except ValueError:
        raise NotReached("what came was no certificate") from None
    key = certificate.public_key()
    now = datetime.now(UTC)
    if not isinstance(key, RSAPublicKey) or not (
        certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc
    ):
        raise NotBelieved("the certificate is not valid")
    return key


def _milliseconds(timestamp: str) -> int:
    try:
        found = datetime.fromisoformat(timestamp)
    except ValueError:
        raise NotBelieved("it has no time") from None
    if found.tzinfo is None:
        raise NotBelieved("it has no time")
    return round(found.timestamp() * 1000)
