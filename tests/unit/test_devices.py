"""Devices by name, addresses in short, and tokens by which a device is known again."""

import pytest

from serve.users.devices import Arrival, device_name, device_token, known_device, shortened

FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Firefox/128.0"
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/17.5 Mobile/15E148 Safari/604.1"
)


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [(FIREFOX, "Firefox on Windows"), (IPHONE, "Mobile Safari on iOS"), ("", ""), ("\x00é" * 5000, "")],
)
def test_a_device_has_a_name(user_agent: str, name: str) -> None:
    assert device_name(user_agent) == name


@pytest.mark.parametrize(
    ("address", "short"),
    [
        ("203.0.113.77", "203.0.113.0/24"),
        ("2001:db8:1:2:3::4", "2001:db8:1::/48"),
        ("::ffff:203.0.113.77", "203.0.113.0/24"),
        (None, ""),
    ],
)
def test_an_address_is_shortened(address: str | None, short: str) -> None:
    assert shortened(address) == short
    assert Arrival("", address).network == short


def test_a_device_token_is_good_for_its_user_only() -> None:
    token = device_token(b"secret", "ada")
    name = known_device(b"secret", "ada", token)
    assert name is not None
    assert device_token(b"secret", "ada", name) == token
    assert known_device(b"secret", "bob", token) is None
    assert known_device(b"other", "ada", token) is None
    for forged in (None, "", ".", "a.b", f"{name}.", f"x{token}", "é.é"):
        assert known_device(b"secret", "ada", forged) is None
