"""A program that serves one thing after another on the Ray of a shop that runs, as its input says.

It does what `troupe serve NAME` does once its Ray is there: that alone would take many times as long as all the rest.
"""

import json
import subprocess
import sys
from typing import Any

from tests.running import RunningShop

SECONDS = 30.0


class InTurn:
    """The program, as its caller sees it: on the Ray, the data and the port of `shop`, in place of what it served."""

    def __init__(self, shop: RunningShop) -> None:
        address, environment = shop.ray()
        self._program = subprocess.Popen(
            [sys.executable, "-m", __name__, address],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def serve(self, **settings: Any) -> None:
        """Returns once it is served."""
        assert self._program.stdin is not None
        assert self._program.stdout is not None
        wanted = json.dumps(settings) + "\n"
        self._program.stdin.write(wanted)
        self._program.stdin.flush()
        assert self._program.stdout.readline() == wanted, "the program ended: its errors stand above"

    def close(self) -> None:
        """What is served stays. A second time changes nothing."""
        if self._program.poll() is None:
            self._program.communicate(timeout=SECONDS)


def main(address: str) -> None:
    """`address`: of Ray's control store."""
    import ray

    from serve import app, starting
    from serve import settings as settings_module
    from serve.cluster import APPLICATION
    from serve.kept_secrets import with_secrets

    ray.init(address=address, namespace="troupe", log_to_driver=False, logging_level="warning")
    for line in sys.stdin:
        settings = with_secrets(settings_module.load(**json.loads(line)))
        starting.start_actors(settings)
        app.deploy(settings, APPLICATION)
        sys.stdout.write(line)
        sys.stdout.flush()
    ray.shutdown()


if __name__ == "__main__":
    main(sys.argv[1])
