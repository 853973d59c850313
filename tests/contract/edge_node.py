"""A small machine of a shop as a process of its own: `python -m tests.contract.edge_node PORT FILE`.

It notes each write in the file before it answers. After SIGTERM it is not ready, and ends a while later; others see
that it does.
"""

import json
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

READY_PATH = "/api/health/ready"  # the shop is not imported: it takes its time
CLOSING_SECONDS = 2.0
closing = threading.Event()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    notes: Path
    port: int

    def do_GET(self) -> None:
        self._answer(503 if self.path == READY_PATH and closing.is_set() else 200)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        with self.notes.open("a") as file:
            file.write(f"{self.headers['Idempotency-Key']}\n")
        self._answer(200)

    def _answer(self, status: int) -> None:
        body = json.dumps({"port": self.port}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if closing.is_set():
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def main() -> None:
    port, notes = sys.argv[1:]
    Handler.notes, Handler.port = Path(notes), int(port)
    server = ThreadingHTTPServer(("127.0.0.1", int(port)), Handler)
    server.daemon_threads = True

    def close(*_: object) -> None:
        closing.set()
        threading.Timer(CLOSING_SECONDS, server.shutdown).start()

    signal.signal(signal.SIGTERM, close)
    server.serve_forever(0.05)


if __name__ == "__main__":
    main()
