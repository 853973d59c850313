"""Certificates for 127.0.0.1 that nobody but a test trusts."""

import datetime
import ipaddress
from collections.abc import Iterable
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


class Authority:
    """Of this test only. `file`: its certificate, by which others believe what it issues."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        limits = ((x509.BasicConstraints(ca=True, path_length=0), True), (usage, True), (_known(self._key), False))
        self._made = _signed(_named("an authority"), self._key, _named("an authority"), self._key, limits)
        self.file = folder / "authority.pem"
        self.file.write_bytes(self._made.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str) -> Pair:
        """For 127.0.0.1 alone: localhost is another."""
        folder = self._folder / name
        folder.mkdir()
        key = ec.generate_private_key(ec.SECP256R1())
        by = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        parts = ((_HERE, False), (by, False), (_known(key), False))
        return _written(folder, _signed(_named(name), key, self._made.subject, self._key, parts), key)


def self_signed(folder: Path) -> Pair:
    """Good for an hour."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _named("shop.example.com")
    return _written(folder, _signed(name, key, name, key, ((_HERE, False),)), key)


_HERE = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _known(key: ec.EllipticCurvePrivateKey) -> x509.SubjectKeyIdentifier:
    return x509.SubjectKeyIdentifier.from_public_key(key.public_key())


def _signed(
    name: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    issuers_key: ec.EllipticCurvePrivateKey,
    parts: Iterable[tuple[x509.ExtensionType, bool]],
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
    )
    for part, critical in parts:
        builder = builder.add_extension(part, critical=critical)
    return builder.sign(issuers_key, hashes.SHA256())


def _written(folder: Path, made: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Pair:
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    texts = [made.public_bytes(pem), key.private_bytes(pem, form, serialization.NoEncryption())]
    pair = Pair(folder / "certificate.pem", folder / "key.pem", folder / "both.pem")
    for file, content in zip(pair, (*texts, b"".join(texts)), strict=True):
        file.write_bytes(content)
    return pair
