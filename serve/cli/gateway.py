"""`troupe gateway`: configurations of what stands in front of the shop. No shop needs to run."""

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from serve.cli.running import console, read_settings

if TYPE_CHECKING:
    from serve.edge.front_door import FrontDoor, Node
    from serve.gateway.keys import KeyRing
    from serve.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Write configurations of Envoy, Kong or HAProxy in front of the shop.")

File = Annotated[Path, typer.Argument(help="Where to write it; it is readable by its owner only.")]
Nodes = Annotated[list[str], typer.Option("--node", help="host:port of a machine of the shop; once for each.")]
Own = Annotated[
    list[str] | None, typer.Option("--service", help="orders=host:port,host:port for a service with its own machines.")
]
Data = Annotated[Path | None, typer.Option(help="The shop's data folder, if not TROUPE_DATA_DIR.")]
Listen = Annotated[str, typer.Option(help="The address and port to listen at.")]
Certificate = Annotated[Path | None, typer.Option(help="A file with the certificate, PEM; without it there is no TLS.")]
Key = Annotated[Path | None, typer.Option(help="A file with the certificate's key, PEM.")]
GUESTS = "guests.jwks.json"


@app.command()
def envoy(
    file: File,
    nodes: Nodes,
    own: Own = None,
    listen: Listen = "0.0.0.0:8443",
    certificate: Certificate = None,
    key: Key = None,
    admin_port: Annotated[int | None, typer.Option(help="Envoy's own page, on 127.0.0.1; unset: none.")] = None,
    hops: Annotated[int, typer.Option(min=0, help="Proxies before it whose X-Forwarded-For is believed.")] = 0,
    jwks_seconds: Annotated[int, typer.Option(min=1, help="How long it keeps the shop's public keys.")] = 60,
    data: Data = None,
) -> None:
    """Write Envoy's bootstrap, and beside it the file that guests' tokens are checked with, which is secret."""
    from serve.edge.envoy import Choices, bootstrap
    from serve.edge.envoy_tokens import guests_keys
    from serve.edge.written import write

    _both_or_none(certificate, key)
    settings = read_settings(data=data)
    door = _door(settings, nodes, own)
    guests = file.absolute().with_name(GUESTS)
    choices = Choices(_node(listen), certificate, key, admin_port, hops, jwks_seconds)
    ring = _ring(settings)
    write(guests, json.dumps(guests_keys(ring.guest_secret)) + "\n")
    write(file, json.dumps(bootstrap(door, choices, guests), indent=1) + "\n")
    console.print(f"{file} and {guests}: envoy -c {file}")


@app.command()
def kong(file: File, nodes: Nodes, own: Own = None, data: Data = None) -> None:
    """Write Kong's declarative configuration. Write it anew each day: the shop's next key is known a day ahead."""
    import yaml

    from serve.edge.kong import configuration
    from serve.edge.written import write

    settings = read_settings(data=data)
    made = configuration(_door(settings, nodes, own), _ring(settings))
    write(file, yaml.safe_dump(made, sort_keys=False, width=120))
    console.print(
        f"{file} has the secret of guests' tokens in it: kong config db_import {file}, or declarative_config."
    )


@app.command()
def haproxy(
    file: File,
    nodes: Nodes,
    own: Own = None,
    listen: Listen = "0.0.0.0:8443",
    certificate: Annotated[
        Path | None, typer.Option(help="A file with certificate and key, PEM; without it there is no TLS.")
    ] = None,
    socket: Annotated[Path | None, typer.Option(help="Where HAProxy takes orders, as to drain a node.")] = None,
    data: Data = None,
) -> None:
    """Write HAProxy's configuration: a balancer over the nodes that are ready."""
    from serve.edge.front_door import EdgeError
    from serve.edge.haproxy import Choices, configuration
    from serve.edge.written import write

    door = _door(read_settings(data=data), nodes, own)
    try:
        text = configuration(door, Choices(_node(listen), certificate, socket))
    except EdgeError as error:
        raise typer.BadParameter(str(error)) from None
    write(file, text)
    console.print(f"{file}: haproxy -W -f {file}")


def _door(settings: "Settings", nodes: list[str], own: list[str] | None) -> "FrontDoor":
    from serve.describing import description
    from serve.edge.front_door import EdgeError, front_door

    by_service: dict[str, list[Node]] = {}
    for one in own or ():
        name, _, where = one.partition("=")
        by_service[name] = [_node(text.strip()) for text in where.split(",")]
    try:
        return front_door(asyncio.run(description()), settings, [_node(text) for text in nodes], by_service)
    except EdgeError as error:
        raise typer.BadParameter(str(error)) from None


def _node(text: str) -> "Node":
    from serve.edge.front_door import EdgeError, node

    try:
        return node(text)
    except EdgeError as error:
        raise typer.BadParameter(str(error)) from None


def _both_or_none(certificate: Path | None, key: Path | None) -> None:
    if (certificate is None) != (key is None):
        raise typer.BadParameter("--certificate and --key are given together or not at all.")


def _ring(settings: "Settings") -> "KeyRing":
    """The keys that the shop signs with, from the settings or its database, where they are made if there are none."""
    from sqlalchemy.exc import SQLAlchemyError

    from actors.runtime.ports import Unavailable
    from serve.kept_secrets import keys_of
    from serve.users.store import open_engine

    try:
        engine = open_engine(settings.database_url("users"))
        try:
            return asyncio.run(keys_of(settings, engine).ring())
        finally:
            engine.dispose()
    except (SQLAlchemyError, Unavailable) as error:
        console.print(f"[red]The users' database does not give the keys: {type(error).__name__}. Is troupe setup done?")
        raise typer.Exit(1) from None
