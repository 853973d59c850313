"""`troupe openapi`, `troupe asyncapi`: the descriptions of the interface and of the events."""

import asyncio
import json
from pathlib import Path
from typing import Annotated, Any

import typer

File = Annotated[Path | None, typer.Argument(help="Where to write it; unset: to the terminal.")]


def openapi(file: File = None) -> None:
    """Write the OpenAPI description of the whole interface. No shop needs to run."""
    from serve.describing import description

    _write(asyncio.run(description()), file)


def asyncapi(file: File = None) -> None:
    """Write the AsyncAPI description of all events. No shop needs to run."""
    from pipelines.describing import description

    _write(description(), file)


def _write(description: dict[str, Any], file: Path | None) -> None:
    text = json.dumps(description, indent=1, ensure_ascii=False) + "\n"
    if file is None:
        typer.echo(text, nl=False)
    else:
        file.write_text(text)
