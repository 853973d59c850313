"""The `troupe` command."""

import typer

from serve.cli import running

app = typer.Typer(no_args_is_help=True, pretty_exceptions_show_locals=False, help="Run and look after a shop.")
app.command()(running.run)
app.command()(running.stop)


if __name__ == "__main__":
    app()
