"""Where a session is used: the browser by name, the network in short, and tokens by which a device is known again."""

import asyncio
import hmac
import ipaddress
import secrets
from hashlib import sha256
from typing import NamedTuple

import ua_parser

_LONGEST = 512
_V4_PREFIX, _V6_PREFIX = 24, 48


class Arrival(NamedTuple):
    """What a request says of where it comes from. `address`: None when that is not known."""

    user_agent: str = ""
    address: str | None = None

    async def device(self) -> str:
        """Such as "Firefox on Windows"; empty when the User-Agent names nothing that is known."""
        # Hundreds of patterns are tried: not on the event loop.
        return await asyncio.to_thread(device_name, self.user_agent)

    @property
    def network(self) -> str:
        return shortened(self.address)


def device_name(user_agent: str) -> str:
    """At most 120 characters."""
    found = ua_parser.parse(user_agent[:_LONGEST])
    browser = found.user_agent.family if found.user_agent is not None else ""
    system = found.os.family if found.os is not None else ""
    return " on ".join(part for part in (browser, system) if part)[:120]


def shortened(address: str | None) -> str:
    """The network of an address, /24 or /48: enough to know one's own town by, too little to find a person."""
    if address is None:
        return ""
    found = plain(address)
    prefix = _V4_PREFIX if found.version == 4 else _V6_PREFIX
    return str(ipaddress.ip_network((found, prefix), strict=False))


def plain(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An IPv4 address also where a socket of IPv6 shows it."""
    found = ipaddress.ip_address(address)
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


def device_token(secret: bytes, user_id: str, device: str | None = None) -> str:
    """Proves that its holder has logged in to the account before, and nothing else; `device`: the one it had."""
    name = device or secrets.token_hex(16)
    return f"{name}.{_mac(secret, user_id, name)}"


def known_device(secret: bytes, user_id: str, token: str | None) -> str | None:
    """The device whose token this is, if it was made for this user."""
    name, _, mac = (token or "").partition(".")
    genuine = hmac.compare_digest(mac.encode(), _mac(secret, user_id, name).encode())
    return name if genuine else None


def _mac(secret: bytes, user_id: str, name: str) -> str:
    return hmac.new(secret, f"{user_id}.{name}".encode(), sha256).hexdigest()
