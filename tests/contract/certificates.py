"""A certificate for 127.0.0.1 that nobody but a test trusts."""

import datetime
import ipaddress
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Pair(NamedTuple):
    """Files. `both`: certificate and key together."""

    certificate: Path
    key: Path
    both: Path


def self_signed(folder: Path) -> Pair:
    """Good for an hour."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "shop.example.com")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    texts = [made.public_bytes(pem), key.private_bytes(pem, form, serialization.NoEncryption())]
    pair = Pair(folder / "certificate.pem", folder / "key.pem", folder / "both.pem")
    for file, content in zip(pair, (*texts, b"".join(texts)), strict=True):
        file.write_bytes(content)
    return pair
