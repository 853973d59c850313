"""Mails as bytes: whatever a name or a text has in it, it adds no header, no reader and no part."""

from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.notifications.mime import checked_address, mailbox, two_forms

NASTY = st.text(st.sampled_from('\r\n\0\t <>@,;:"\\()=?_-.Aaö×𝄞\u2028\x7f'), max_size=300)


def opened(content: bytes) -> EmailMessage:
    found = message_from_bytes(content.replace(b"\r\n", b"\n"), policy=policy.default)
    assert isinstance(found, EmailMessage)
    return found


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("Ada Lovelace", "Ada Lovelace <a@b.c>"),
        ("O'Neill-Smith", "O'Neill-Smith <a@b.c>"),
        ('Lovelace, Ada ("Al") \\', '"Lovelace, Ada (\\"Al\\") \\\\" <a@b.c>'),
        (" \r\n ", "a@b.c"),
        ("Löfgren", "=?utf-8?q?L=C3=B6fgren?= <a@b.c>"),
        ("=?utf-8?q?x?=", "=?utf-8?b?PT91dGYtOD9xP3g/PQ==?= <a@b.c>"),
    ],
)
def test_how_a_mailbox_is_written(name: str, written: str) -> None:
    assert mailbox(name, "a@b.c") == written


@given(name=NASTY)
def test_a_name_stays_a_name(name: str) -> None:
    message = opened(two_forms([("To", mailbox(name, "a@b.c")), ("Subject", "x")], "x", "x"))
    assert message.keys() == ["To", "Subject", "MIME-Version", "Content-Type"]
    [reader] = message["To"].addresses
    assert reader.addr_spec == "a@b.c"
    printable = "".join(character if character.isprintable() else " " for character in name)
    assert reader.display_name.split() == printable.split()


@given(plain=NASTY, html=NASTY)
def test_a_text_arrives_as_it_is(plain: str, html: str) -> None:
    content = two_forms([("Subject", "x")], plain, html)
    assert max(map(len, content.split(b"\r\n"))) <= 998
    assert content.isascii()
    assert b"\n" not in content.replace(b"\r\n", b"")
    assert b"\r" not in content.replace(b"\r\n", b"")
    message = opened(content)
    texts = [part.get_payload(decode=True) for part in message.iter_parts()]
    assert texts == [_lines(plain.encode()), _lines(html.encode("ascii", "xmlcharrefreplace"))]


def _lines(text: bytes) -> bytes:
    return text.replace(b"\r\n", b"\n").replace(b"\r", b"\n").rstrip(b"\n") + b"\n"


def test_a_long_line_is_broken_and_put_together_again() -> None:
    message = opened(two_forms([("Subject", "x")], "a" * 998, "b" * 999))
    plain, html = message.iter_parts()
    assert [part["Content-Transfer-Encoding"] for part in (plain, html)] == ["7bit", "quoted-printable"]
    assert [part.get_content() for part in (plain, html)] == ["a" * 998 + "\n", "b" * 999 + "\n"]


@pytest.mark.parametrize("value", ["a\nBcc: b", "a\r\nBcc: b", "a\r\n\r\nb", "a\r b", "ö", "a" * 999])
def test_a_header_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="a header's value must be printable ASCII in one line, or folded"):
        two_forms([("Subject", value)], "", "")


def test_addresses() -> None:
    assert checked_address("a.b+c'd@ex-ample.co") == "a.b+c'd@ex-ample.co"
    assert checked_address("a@bücher.example") == "a@xn--bcher-kva.example"


@pytest.mark.parametrize(
    "email",
    ["", "a", "a@", "@b.c", "a@b c", "a b@c.d", "a@b.c\r\nBcc: x@y.z", "a@b.c\n", "a@b.c,d@e.f", "<a@b.c>", "a..b@c.d"],
)
def test_what_is_no_address_is_refused(email: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        checked_address(email)


@pytest.mark.parametrize("email", ["ö@b.de", f"a@{'b' * 250}.de"])
def test_what_not_every_server_takes_is_refused(email: str) -> None:
    with pytest.raises(ValueError, match=r"not ASCII|too long"):
        checked_address(email)
