"""``python -m tests.stripe_wire --port 12111 [--webhook-url URL --webhook-secret SECRET ...]``."""

import argparse

import uvicorn

from tests.stripe_wire.account import Hook
from tests.stripe_wire.app import application


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.stripe_wire", description=__doc__)
    parser.add_argument("--port", type=int, default=12111)
    parser.add_argument("--webhook-url", default="", help="where events of every account go")
    parser.add_argument("--webhook-secret", action="append", default=[], help="again for a second one")
    given = parser.parse_args()
    hook = Hook(given.webhook_url, given.webhook_secret)
    app = application(f"http://127.0.0.1:{given.port}", hook)
    uvicorn.run(app, host="127.0.0.1", port=given.port, log_level="critical", access_log=False)


if __name__ == "__main__":
    main()
