"""Starts Ray and Serve for the shop on this machine, and ends all of it."""

import contextlib
import math
import os
import resource
import secrets
import socket
import stat
import tempfile
import time
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path

from serve import ingress, processes
from serve.preflight import CannotStart
from serve.settings import Settings

Tell = Callable[[str], None]

APPLICATION = "shop"
REPLICA_PORTS = 20
OBJECT_STORE = 128 * 2**20
# HAProxy and uvicorn close idle connections; the one behind must be the more patient, or a request gets lost between.
KEEP_ALIVE_SECONDS = 90


class Cluster:
    """One shop on this machine: `start`, then `stop`, in one process."""

    def __init__(self, settings: Settings, tell: Tell) -> None:
        self._settings = settings
        self._tell = tell

    def start(self) -> None:
        """Raises CannotStart with a text for people."""
        os.environ.update(self._environment())
        processes.note_closing(self._settings.data_dir, False)
        self._tell("Starting Ray")
        self._start_ray()
        self._tell("Starting Serve with HAProxy")
        self._start_serve()
        self._tell("Starting the hosts of the entities")
        from serve import app, starting

        starting.start_actors(self._settings)
        self._tell("Opening the shop")
        app.deploy(self._settings, APPLICATION)

    def stop(self) -> None:
        """In order, as far as that goes; the process in front ends whatever is left then."""
        import ray
        from ray import serve

        from serve import starting

        if not ray.is_initialized():
            return
        processes.note_closing(self._settings.data_dir, True)
        if self._settings.closing_seconds:
            self._tell("Telling balancers that the shop is about to close")
            time.sleep(self._settings.closing_seconds)
        self._tell("Closing the shop")
        self._drain()
        serve.shutdown()
        self._tell("Releasing the shards")
        starting.stop_actors(self._settings)
        ray.shutdown()

    def _drain(self) -> None:
        """Lets the replicas answer what they accepted, while the balancer still stands: shutting Serve down cuts it."""
        from ray import serve

        try:
            serve.delete(APPLICATION)
        except Exception as error:
            # There is none yet, or Serve is not well: what follows ends it anyhow.
            self._tell(f"Closing at once ({type(error).__name__})")

    def _environment(self) -> dict[str, str]:
        """Ray reads these when it is imported and hands them to all that it starts."""
        folder = self._haproxy_folder()
        first = _free_range(4 + 2 * REPLICA_PORTS)
        http, grpc = first + 4, first + 4 + REPLICA_PORTS
        return {
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_worker_niceness": "0",
            "RAY_task_events_report_interval_ms": "0",
            "RAY_SERVE_ENABLE_HA_PROXY": "1",
            "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
            "RAY_SERVE_HAPROXY_BINARY_PATH": str(ingress.haproxy(Path(folder))),
            "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": f"{folder}/haproxy.cfg",
            "RAY_SERVE_HAPROXY_SOCKET_PATH": f"{folder}/admin.sock",
            "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": folder,
            "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": f"{folder}/server-state",
            "RAY_SERVE_HAPROXY_STATS_PORT": str(first),
            "RAY_SERVE_HAPROXY_METRICS_PORT": str(first + 1),
            "RAY_SERVE_HAPROXY_METRICS_ENABLED": "0",
            "RAY_SERVE_HAPROXY_MAXCONN": str(_connections()),
            "RAY_SERVE_HAPROXY_NBTHREAD": "2",
            # Connections of before it read a new configuration: they last as long as a checkout may.
            "RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S": str(max(10, math.ceil(self._settings.checkout_wait_seconds) + 5)),
            # HAProxy turns to it when no replica is there: a port of all shops on the machine would be another shop's.
            "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(first + 2),
            "RAY_SERVE_FALLBACK_PROXY_GRPC_PORT": str(first + 3),
            "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": str(http),
            "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": str(http + REPLICA_PORTS),
            "RAY_SERVE_DIRECT_INGRESS_MIN_GRPC_PORT": str(grpc),
            "RAY_SERVE_DIRECT_INGRESS_MAX_GRPC_PORT": str(grpc + REPLICA_PORTS),
            "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "1",
            "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "1",
            "RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S": "5",
            # uvicorn would believe each loopback hop in X-Forwarded-For, also one that a client wrote: the front looks
            "FORWARDED_ALLOW_IPS": "",
        }

    def _haproxy_folder(self) -> str:
        folder, _ = temporary_folders(self._settings.data_dir)
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        found = folder.lstat()
        # Whoever made it first could change what is run from there.
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
            raise CannotStart(f"{folder} must be a folder that only this user can enter. Look whose it is; remove it.")
        return str(folder)

    def _start_ray(self) -> None:
        import ray

        _, folder = temporary_folders(self._settings.data_dir)
        # Twice as many as there are cores: nothing here asks for whole cores, and Serve wants a few for itself.
        ray.init(
            address="local",
            namespace="troupe",
            include_dashboard=False,
            num_cpus=max(4, 2 * (os.cpu_count() or 1)),
            object_store_memory=OBJECT_STORE,
            log_to_driver=False,
            logging_level="warning",
            _node_ip_address="127.0.0.1",
            _temp_dir=str(folder),
        )

    def _start_serve(self) -> None:
        from ray import serve
        from ray.serve.config import HTTPOptions

        serve.start(
            http_options=HTTPOptions(
                host=self._settings.host, port=self._settings.port, keep_alive_timeout_s=KEEP_ALIVE_SECONDS
            )
        )


def temporary_folders(data_dir: Path) -> tuple[Path, Path]:
    """Where HAProxy and Ray keep sockets and logs of the shop on this folder: short, as paths of sockets must be."""
    short = blake2b(str(data_dir).encode(), digest_size=4).hexdigest()
    base = Path(tempfile.gettempdir())
    folder = base / f"troupe-{os.getuid()}-{short}"
    return folder, folder / "ray"  # Ray opens its own to everybody


def _connections() -> int:
    """How many clients HAProxy may have: each needs two sockets, and it wants some files of its own."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return max(100, min(20_000, (hard - 500) // 3))


def _free_range(length: int) -> int:
    """The first of so many ports that nobody uses now, below those that the system hands out by itself."""
    while True:
        first = 10_000 + secrets.randbelow(20_000)
        if all(_is_free(port) for port in range(first, first + length)):
            return first


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("0.0.0.0", port))
        except OSError:
            return False
        return True
