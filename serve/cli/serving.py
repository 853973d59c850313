"""`troupe serve`: some services of the shop without the others."""

from pathlib import Path
from typing import Annotated

import typer

from serve.cli.running import open_shop, read_settings
from serve.settings import SERVICES


def serve(
    names: Annotated[
        list[str],
        typer.Argument(help=f"What to serve: {', '.join(SERVICES)} (the hosts of carts and orders)."),
    ],
    port: Annotated[int | None, typer.Option(help="Listen at this port instead of TROUPE_PORT.")] = None,
    data: Annotated[Path | None, typer.Option(help="Keep everything here, not in TROUPE_DATA_DIR.")] = None,
) -> None:
    """Serve one or a few services alone, until Ctrl-C. What needs a part that does not run answers 503 and names it."""
    chosen = tuple(dict.fromkeys(names))
    open_shop(read_settings(port, data, services=chosen), demo=False)
