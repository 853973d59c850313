"""``python -m deploy.servers up|run|install``."""

import argparse
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

from deploy.servers import SERVICES, SHOP, Servers
from deploy.servers.environment import for_a_shop, for_tests, without_old
from deploy.servers.guard import dies_with_parent
from deploy.servers.telling import Broken, Stopped, Telling

EPILOG = f"servers: {' '.join(SERVICES)}; without names up and run --settings take what a shop uses, the others all"


class Ended(BaseException):
    """A signal asked this process to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def arguments(given: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """What was asked for, and the command behind ``--``."""
    split = given.index("--") if "--" in given else len(given)
    parser = argparse.ArgumentParser(prog="python -m deploy.servers", description=__doc__, epilog=EPILOG)
    commands = parser.add_subparsers(dest="action", required=True)
    up = commands.add_parser("up", help="start servers, say where they are, until Ctrl-C", epilog=EPILOG)
    run = commands.add_parser("run", help="start servers, run a command on them: run [NAMES] -- COMMAND", epilog=EPILOG)
    install = commands.add_parser("install", help="only download", epilog=EPILOG)
    run.add_argument(
        "--settings", action="store_true", help="the command gets a shop's settings, TROUPE_MYSQL_URL and so on"
    )
    for one in (up, run, install):
        one.add_argument("names", nargs="*", metavar="NAME", type=known, help="which servers")
    for one in (up, run):
        one.add_argument("--data", type=Path, metavar="DIR", help="keep the data there; otherwise it goes at the end")
        one.add_argument(
            "--port", action="append", default=[], type=port, metavar="NAME=PORT", help="kafka=9092; else free ones"
        )
        one.add_argument(
            "--brokers", type=int, choices=range(1, 8), default=1, metavar="N", help="Kafka brokers, 1 to 7"
        )
        one.add_argument(
            "--mongo-nodes", type=int, choices=range(1, 8), default=1, metavar="N", help="MongoDB nodes, 1 to 7"
        )
    chosen = parser.parse_args(given[:split])
    command = given[split + 1 :]
    if (chosen.action == "run") != bool(command):
        parser.error("run needs -- COMMAND" if chosen.action == "run" else f"{chosen.action} takes no command")
    if not chosen.names:
        shop = chosen.action == "up" or (chosen.action == "run" and chosen.settings)
        chosen.names = [name for name in (SHOP if shop else SERVICES) if name in SERVICES]
    return chosen, command


def known(text: str) -> str:
    if text not in SERVICES:
        raise argparse.ArgumentTypeError(f"there is no server {text!r}; there are {', '.join(SERVICES)}")
    return text


def port(text: str) -> tuple[str, int]:
    name, _, number = text.partition("=")
    if not number.isdecimal() or not 0 < int(number) < 65_536:
        raise argparse.ArgumentTypeError(f"{text!r} is not like kafka=9092")
    known(re.sub(r"-\d$", "", name))  # kafka-2 is one of several
    return name, int(number)


def ended(number: int, _: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # once is enough: the ending is under way
    raise Ended(number)


def wait_for(command: list[str], environment: dict[str, str]) -> int:
    """Runs a command in the foreground, passes SIGTERM on to it; its status, or 128 and the signal that ended it."""
    try:
        process = subprocess.Popen(command, env=environment, preexec_fn=dies_with_parent(signal.SIGTERM))
    except OSError as error:
        sys.stderr.write(f"{command[0]} cannot be run: {error.strerror}\n")
        return 127
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to the command as well, which decides
    try:
        status = process.wait()
    except Ended:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        raise
    return status if status >= 0 else 128 - status


def stay(servers: Servers) -> int:
    """Says where the servers are, and waits for a signal or for one of them to end."""
    for name, value in for_a_shop(servers.running).items():
        print(f"{name}={value}", flush=True)
    for name, service in servers.running.items():
        if not service.settings():
            print(f"# {name}: {service.url()}", flush=True)
    if not servers.running:
        return 1
    servers.telling.say("Ctrl-C ends them.")
    while all(server.running for server in servers):
        servers.telling.pause(0.5)
    for server in servers:
        if not server.running:
            servers.telling.say(f"{server.name} has ended by itself:\n{server.log_tail()}", "bold red")
    return 1


def act(chosen: argparse.Namespace, command: list[str]) -> int:
    with Telling() as telling:
        if chosen.action == "install":
            servers = Servers(chosen.names, telling=telling)
            servers.install()
            return 1 if servers.missing else 0
        servers = Servers(
            chosen.names,
            data=chosen.data,
            ports=dict(chosen.port),
            brokers=chosen.brokers,
            mongo_nodes=chosen.mongo_nodes,
            telling=telling,
        )
        with servers:
            telling.__exit__()
            if chosen.action == "up":
                return stay(servers)
            given = for_a_shop(servers.running) if chosen.settings else for_tests(servers.running, servers.missing)
            return wait_for(command, without_old(os.environ) | given)


def main() -> int:
    chosen, command = arguments(sys.argv[1:])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, ended)
    try:
        return act(chosen, command)
    except Ended as signalled:
        return 128 + signalled.number
    except Stopped:
        return 1
    except Broken as error:
        sys.stderr.write(f"{error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
