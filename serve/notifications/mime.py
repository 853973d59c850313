"""A mail as the bytes that go over the wire (RFC 5322, MIME), written for what our mails are: a few headers and two
forms of one text. The library's message parses and folds each header that it is given, which cost more than the text.
"""

import re
import secrets
from binascii import b2a_base64, b2a_qp
from collections.abc import Sequence
from email.header import Header

from email_validator import validate_email

LONGEST_ADDRESS = 254
LONGEST_LINE = 998
LONGEST_WORD = 39
"""Bytes of text in one encoded word, so that a line of them, with a header's name, has no more than 76 characters."""
_USUAL_ADDRESS = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"  # RFC 5322, dot-atom
    r"@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*"
)
_ATOMS = re.compile(r"[A-Za-z0-9'-]+( [A-Za-z0-9'-]+)*")
_ONE_LINE = re.compile(r"[ -~]*")
_PLAIN_TEXT = re.compile(rb"[\t\n -~]*")
_LONG_LINE = re.compile(rb"[^\n]{%d}" % (LONGEST_LINE + 1))


def checked_address(email: str) -> str:
    """The address as ASCII. Raises ValueError if there is no such address, or none that every server takes."""
    if not _USUAL_ADDRESS.fullmatch(email):
        ascii_email = validate_email(email, check_deliverability=False, test_environment=True).ascii_email
        if ascii_email is None:
            raise ValueError("the part before the @ is not ASCII")
        email = ascii_email
    if len(email) > LONGEST_ADDRESS:
        raise ValueError("the address is too long")
    return email


def mailbox(name: str, address: str) -> str:
    """`Name <address>`, for a header. `address`: of `checked_address`. Whatever `name` is, it stays a name."""
    name = " ".join("".join(character if character.isprintable() else " " for character in name).split())
    if not name:
        return address
    if _ATOMS.fullmatch(name):
        return f"{name} <{address}>"
    if _ONE_LINE.fullmatch(name) and "=?" not in name:  # which begins an encoded word, also in quotes for many readers
        quoted = name.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{quoted}" <{address}>'
    encoded = Header(name, "utf-8", header_name="From").encode(linesep="\r\n")
    return f"{encoded} <{address}>"


def written_text(text: str) -> str:
    """A text for a header that is read by people (RFC 2047): `Subject`, not one with addresses in it."""
    if _ONE_LINE.fullmatch(text) and "=?" not in text:
        return text
    words, word = [], b""
    for character in text:
        encoded = character.encode()
        if len(word) + len(encoded) > LONGEST_WORD:
            words.append(word)
            word = b""
        word += encoded
    encoded_words = (b2a_base64(word, newline=False).decode("ascii") for word in [*words, word])
    return "\r\n ".join(f"=?utf-8?b?{word}?=" for word in encoded_words)


def two_forms(headers: Sequence[tuple[str, str]], plain: str, html: str) -> bytes:
    """A whole message, its text in both forms. Header values: ASCII, as they are to stand there; else ValueError."""
    # Nobody who writes into the text can know it, so nobody can end a part.
    boundary = f"=_{secrets.token_hex(16)}"
    lines = [f"{name}: {_checked(value)}" for name, value in headers]
    lines += ["MIME-Version: 1.0", f'Content-Type: multipart/alternative; boundary="{boundary}"', ""]
    # In HTML a character reference says the same as the character, so that its text stays readable ASCII.
    parts = (("plain", plain.encode()), ("html", html.encode("ascii", "xmlcharrefreplace")))
    written = ["\r\n".join(lines).encode("ascii")]
    for subtype, text in parts:
        encoding, content = _encoded(text)
        head = f'--{boundary}\r\nContent-Type: text/{subtype}; charset="utf-8"\r\nContent-Transfer-Encoding: {encoding}'
        written.append(f"{head}\r\n".encode("ascii"))
        written.append(content)
    written.append(f"--{boundary}--\r\n".encode("ascii"))
    return b"\r\n".join(written)


def _checked(value: str) -> str:
    lines = value.split("\r\n ")
    if not all(_ONE_LINE.fullmatch(line) and len(line) < LONGEST_LINE - 20 for line in lines):
        raise ValueError("a header's value must be printable ASCII in one line, or folded")
    return value


def _encoded(text: bytes) -> tuple[str, bytes]:
    """The transfer encoding of a text, and the text in it with lines that end as a mail's do."""
    unix = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n").rstrip(b"\n") + b"\n"
    if _PLAIN_TEXT.fullmatch(unix) and not _LONG_LINE.search(unix):
        return "7bit", unix.replace(b"\n", b"\r\n")
    return "quoted-printable", b2a_qp(unix, istext=True).replace(b"\n", b"\r\n")
