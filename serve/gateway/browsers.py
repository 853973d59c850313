"""What browsers are told with every answer: what pages may do, and whose pages may call (CORS)."""

from collections.abc import Iterable, Sequence

Header = tuple[bytes, bytes]

METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE"
# Those that pages may send beside what every browser lets them.
SENT = (
    b"Authorization, Content-Type, Idempotency-Key, If-None-Match, Last-Event-ID, Prefer, X-Order-Access, X-Request-Id"
)
# Those that pages may read beside what every browser lets them.
EXPOSED = (
    b"ETag, Location, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, Retry-After, X-Guest-Token, X-Request-Id"
)
PREFLIGHT_SECONDS = b"600"

_CSP = b"content-security-policy"
_NO_FRAMES = b"frame-ancestors 'none'"
_FOR_DATA = (_CSP, b"default-src 'none'; " + _NO_FRAMES)
_FOR_PAGES = (_CSP, b"default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; " + _NO_FRAMES)
_ALWAYS = ((b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer"))
_ONLY_TLS = (b"strict-transport-security", b"max-age=31536000")
_VARY = (b"vary", b"Origin")


class Browsers:
    """`origins`: whose pages may call besides the shop's own; tokens go in a header, so no credentials are allowed.

    `only_tls`: browsers shall never come without TLS again, as the shop's address is https.
    """

    def __init__(self, origins: Sequence[str] = (), *, only_tls: bool = False) -> None:
        self._origins = frozenset(origin.encode("ascii") for origin in origins)
        self._always = (*_ALWAYS, _ONLY_TLS) if only_tls else _ALWAYS

    def headers(self, own: Iterable[Header], origin: bytes | None) -> list[Header]:
        """An answer's own headers and those for browsers; a page's own policy stays, but for frames."""
        headers = list(own)
        sent = dict(headers)
        headers += [header for header in self._always if header[0] not in sent]
        policy = sent.get(_CSP)
        is_page = sent.get(b"content-type", b"").startswith(b"text/html")
        if policy is None:
            headers.append(_FOR_PAGES if is_page else _FOR_DATA)
        elif is_page and b"frame-ancestors" not in policy:
            headers[headers.index((_CSP, policy))] = (_CSP, policy + b"; " + _NO_FRAMES)
        if self._origins:
            headers.append(_VARY)  # also without an Origin: caches must not give that answer to a page
            if origin in self._origins:
                headers += [(b"access-control-allow-origin", origin), (b"access-control-expose-headers", EXPOSED)]
        return headers

    def preflight(self, origin: bytes | None) -> list[Header] | None:
        """The answer's headers when a browser asks before a call; None when calls are not allowed."""
        if origin not in self._origins:
            return None
        return [
            (b"access-control-allow-methods", METHODS),
            (b"access-control-allow-headers", SENT),
            (b"access-control-max-age", PREFLIGHT_SECONDS),
        ]
