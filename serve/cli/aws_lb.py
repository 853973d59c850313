"""`troupe aws-lb`: a balancer of AWS in front of the shop's machines."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:
    from serve.edge.aws import Balancer

app = typer.Typer(no_args_is_help=True, help="Make or remove an AWS load balancer in front of the shop.")
console = Console(soft_wrap=True, highlight=False, markup=False)
complaints = Console(stderr=True, soft_wrap=True, highlight=False, markup=False, style="red")

Name = Annotated[str, typer.Option(help="The balancer's name; it is found again by it.")]
Region = Annotated[str | None, typer.Option(envvar="AWS_REGION", help="The region, if not that of the profile.")]


@app.command()
def create(
    vpc: Annotated[str, typer.Option(help="The network that the machines are in.")],
    subnets: Annotated[list[str], typer.Option("--subnet", help="A subnet of the balancer; two at least.")],
    certificate: Annotated[str, typer.Option(help="The ARN of the certificate, in ACM or IAM.")],
    targets: Annotated[list[str], typer.Option("--target", help="An instance, i-..., or an address; once for each.")],
    port: Annotated[int, typer.Option(min=1, max=65535, help="The machines' port.")] = 8000,
    security_groups: Annotated[list[str] | None, typer.Option("--security-group", help="Of the balancer.")] = None,
    internal: Annotated[bool, typer.Option(help="Whether it is for the network only.")] = False,
    name: Name = "troupe",
    region: Region = None,
) -> None:
    """Make the balancer, or bring it up to date: it can be run again at any time."""
    from serve.edge.aws import Plan
    from serve.edge.front_door import EdgeError

    groups = tuple(security_groups or ())
    plan = Plan(name, vpc, tuple(subnets), certificate, tuple(targets), port, groups, internal)
    try:
        address = _balancer(name, region).create(plan)
    except EdgeError as error:
        complaints.print(str(error))
        raise typer.Exit(1) from None
    console.print(f"https://{address}; TROUPE_TRUSTED_PROXIES must have the networks of its subnets.")


@app.command()
def remove(name: Name = "troupe", region: Region = None) -> None:
    """Remove the balancer that was made under this name; nothing else, and nothing if it is not there."""
    from serve.edge.front_door import EdgeError

    try:
        _balancer(name, region).remove()
    except EdgeError as error:
        complaints.print(str(error))
        raise typer.Exit(1) from None


def _balancer(name: str, region: str | None) -> "Balancer":
    """Credentials are found as every AWS tool finds them. Raises EdgeError."""
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    from serve.edge.aws import Balancer
    from serve.edge.front_door import EdgeError

    bounds = Config(connect_timeout=5, read_timeout=30, retries={"mode": "standard", "total_max_attempts": 5})
    try:
        client = boto3.client("elbv2", region_name=region, config=bounds)
    except BotoCoreError as error:
        raise EdgeError(f"AWS cannot be called: {error}") from None
    return Balancer(client, name, console.print)
