"""`troupe openapi`, `troupe asyncapi`: the descriptions of the interface and of the events."""

import asyncio
import json
from pathlib import Path
from typing import Annotated

import typer


def openapi(
    file: Annotated[Path | None, typer.Argument(help="Where to write it; unset: to the terminal.")] = None,
) -> None:
    """Write the OpenAPI description of the whole interface. No shop needs to run."""
    from serve.describing import description

    text = json.dumps(asyncio.run(description()), indent=1, ensure_ascii=False) + "\n"
    if file is None:
        typer.echo(text, nl=False)
    else:
        file.write_text(text)


def asyncapi(
    file: Annotated[Path | None, typer.Argument(help="Where to write it; unset: to the terminal.")] = None,
) -> None:
    """Write the AsyncAPI description of all events. No shop needs to run."""
    from pipelines import describing

    text = json.dumps(describing.description(), indent=1, ensure_ascii=False) + "\n"
    if file is None:
        typer.echo(text, nl=False)
    else:
        file.write_text(text)
