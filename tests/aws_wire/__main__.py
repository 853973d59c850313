"""`python -m tests.aws_wire --port 12112`."""

import argparse

import uvicorn

from tests.aws_wire.app import Application


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.aws_wire", description=__doc__)
    parser.add_argument("--port", type=int, default=12112)
    given = parser.parse_args()
    uvicorn.run(Application(), host="127.0.0.1", port=given.port, log_level="critical", access_log=False)


if __name__ == "__main__":
    main()
