"""TLS to the servers: how each library is told whom to believe, and with which certificate of ours.

What an address says itself goes before it, so that one server may have other authorities.
"""

import ssl
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, urlencode

from sqlalchemy import URL

# PyMySQL loses the authorities over these when they come with an address: it would check against the system's.
_LOSES_AUTHORITIES = ("ssl_verify_cert", "ssl_verify_identity")


class Unfit(ValueError):
    """Why files or an address cannot be used; for people."""


class Tls(NamedTuple):
    """`ca`: a file of authorities. `certificate`: a file with a certificate of ours and its key, if servers ask."""

    ca: Path
    certificate: Path | None = None

    def context(self) -> ssl.SSLContext:
        """Checks certificate and name. Raises Unfit."""
        try:
            context = ssl.create_default_context(cafile=self.ca)
        except (OSError, ssl.SSLError) as error:
            raise Unfit(f"TROUPE_TLS_CA={self.ca} is no readable PEM of certificates ({_why(error)})") from None
        if self.certificate is not None:
            try:
                context.load_cert_chain(self.certificate)
            except (OSError, ssl.SSLError) as error:
                raise Unfit(
                    f"TROUPE_TLS_CERTIFICATE={self.certificate} is no readable PEM of a certificate and its key "
                    f"({_why(error)})"
                ) from None
        return context


def in_mysql(url: URL, tls: Tls | None) -> URL:
    """An address from which PyMySQL takes TLS or nothing, with certificate and name checked, if `tls` or it says so.

    Raises Unfit for one that would be believed to check and does not.
    """
    if tls is not None:
        own = {"ssl_cert": str(tls.certificate), "ssl_key": str(tls.certificate)} if tls.certificate else {}
        url = url.update_query_dict({**own, "ssl_ca": str(tls.ca), **url.query})
    asked = [name for name in _LOSES_AUTHORITIES if name in url.query]
    if asked and "ssl_ca" not in url.query:
        raise Unfit(
            f"TROUPE_MYSQL_URL: {asked[0]} needs ssl_ca=, or TROUPE_TLS_CA: nothing says which authorities are believed"
        )
    return url.difference_update_query(asked)


def in_mongo(address: str, tls: Tls | None) -> str:
    """An address that says all of it to pymongo."""
    if tls is None:
        return address
    own = {"tlsCertificateKeyFile": str(tls.certificate)} if tls.certificate else {}
    return _with(address, {"tls": "true", "tlsCAFile": str(tls.ca), **own})


def in_redis(address: str, tls: Tls | None) -> str:
    """An address that says all of it to redis-py. Raises Unfit if it is not rediss://."""
    if tls is None:
        return address
    if not address.startswith("rediss://"):
        raise Unfit("TROUPE_REDIS_URL: with TROUPE_TLS_CA it must begin with rediss://")
    own = {"ssl_certfile": str(tls.certificate), "ssl_keyfile": str(tls.certificate)} if tls.certificate else {}
    return _with(address, {"ssl_ca_certs": str(tls.ca), "ssl_check_hostname": "true", **own})


def in_elasticsearch(address: str, tls: Tls | None) -> str:
    """The address as it is: its client gets the rest otherwise. Raises Unfit if it is not https://."""
    if tls is not None and not address.startswith("https://"):
        raise Unfit("TROUPE_ELASTICSEARCH_URL: with TROUPE_TLS_CA it must begin with https://")
    return address


def _with(address: str, options: dict[str, str]) -> str:
    before, _, query = address.partition("?")
    said = {name.lower() for name in parse_qs(query, keep_blank_values=True)}
    added = urlencode({name: value for name, value in options.items() if name.lower() not in said})
    if "/" not in before.partition("://")[2]:
        before += "/"
    return f"{before}?{'&'.join(part for part in (query, added) if part)}"


def _why(error: OSError) -> str:
    return error.strerror or type(error).__name__
