"""The `troupe` command."""

import typer

from serve.cli import (
    auditing,
    aws_lb,
    catalog,
    dead_letters,
    describing,
    gateway,
    hosts,
    migrating,
    rebuilding,
    reconciling,
    replaying,
    republishing,
    running,
    search,
    serving,
    settings,
    setup,
    simulating,
    staff,
    suppressions,
    touring,
)

app = typer.Typer(no_args_is_help=True, pretty_exceptions_show_locals=False, help="Run and look after a shop.")
app.command()(running.run)
app.command()(serving.serve)
app.command()(running.stop)
app.command()(settings.settings)
app.command()(setup.setup)
app.command()(describing.openapi)
app.command()(describing.asyncapi)
app.command()(replaying.replay)
app.command()(auditing.audit)
app.command()(reconciling.reconcile)
app.command("migrate-data")(migrating.migrate_data)
app.command("rebuild")(rebuilding.rebuild_models)
app.command()(republishing.republish)
app.command()(simulating.simulate)
app.command()(touring.tour)
app.add_typer(staff.app, name="staff")
app.add_typer(hosts.app, name="hosts")
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(suppressions.app, name="suppressions")
app.add_typer(search.app, name="search")
app.add_typer(gateway.app, name="gateway")
app.add_typer(aws_lb.app, name="aws-lb")
catalog.register(app)


if __name__ == "__main__":
    app()
