"""Messages as SNS signs them, with a key that a test has, and the certificate that goes with it."""

import base64
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.x509.oid import NameOID

from serve.notifications.sns import SnsMessage, signed_text

TOPIC = "arn:aws:sns:eu-west-1:123456789012:mail"
HOST = "https://sns.eu-west-1.amazonaws.com"
CERTIFICATE = f"{HOST}/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem"
AT = 1_772_000_000_000


@cache
def key(name: str = "sns") -> RSAPrivateKey:
    return generate_private_key(65537, 2048)


@cache
def certificate(name: str = "sns", days: int = 1) -> bytes:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key(name).public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=9))
        .not_valid_after(now + timedelta(days=days))
        .sign(key(name), hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


def signed(message: str = "", *, version: str = "2", by: str = "sns", at: int = AT, **changed: Any) -> SnsMessage:
    """`changed`: fields of SnsMessage, before it is signed."""
    given: dict[str, Any] = {
        "type": "Notification",
        "message_id": "m1",
        "topic_arn": TOPIC,
        "message": message,
        "timestamp": datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "signature_version": version,
        "signature": "",
        "signing_cert_url": CERTIFICATE,
    }
    made = SnsMessage(**(given | changed))
    algorithm = hashes.SHA1() if version == "1" else hashes.SHA256()
    signature = key(by).sign(signed_text(made), PKCS1v15(), algorithm)
    return msgspec.structs.replace(made, signature=base64.b64encode(signature).decode())


def subscription(**changed: Any) -> SnsMessage:
    more = {"token": "t/1", "subscribe_url": "https://evil.example/?confirm", **changed}
    return signed("You have chosen to subscribe", type="SubscriptionConfirmation", **more)


def bounce(*addresses: str, kind: str = "Permanent", tag: str = "") -> str:
    """As a configuration set tells it."""
    told = {
        "eventType": "Bounce",
        "mail": {"messageId": "0102", "destination": addresses, "tags": {"mail": [tag]} if tag else {}},
        "bounce": {
            "bounceType": kind,
            "bounceSubType": "General",
            "bouncedRecipients": [{"emailAddress": one, "status": "5.1.1"} for one in addresses],
        },
    }
    return msgspec.json.encode(told).decode()


def complaint(*addresses: str, feedback: str | None = "abuse") -> str:
    """As an identity's feedback tells it."""
    told = {
        "notificationType": "Complaint",
        "mail": {"messageId": "0102"},
        "complaint": {
            "complainedRecipients": [{"emailAddress": one} for one in addresses],
            "complaintFeedbackType": feedback,
        },
    }
    return msgspec.json.encode(told).decode()
