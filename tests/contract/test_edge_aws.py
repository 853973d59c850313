"""`troupe aws-lb` against moto, which stands in for AWS: it takes the calls and remembers; nothing balances there."""

import secrets
from typing import Any, NamedTuple

import boto3
import pytest
from botocore.config import Config
from typer.testing import CliRunner

from serve.cli.main import app
from serve.edge.aws import TAG, Balancer, Plan
from serve.edge.front_door import EdgeError
from tests.servers import address

pytestmark = pytest.mark.servers
REGION = "eu-west-2"


class Cloud(NamedTuple):
    elb: Any
    plan: Plan
    told: list[str]
    groups: list[str]

    @property
    def balancer(self) -> Balancer:
        return Balancer(self.elb, self.plan.name, self.told.append)

    def group(self) -> Any:
        return self.elb.describe_target_groups(Names=[self.plan.name])["TargetGroups"][0]

    def everything(self) -> dict[str, Any]:
        """What stands under the name."""
        made = self.elb.describe_load_balancers(Names=[self.plan.name])["LoadBalancers"]
        arn = made[0]["LoadBalancerArn"]
        listeners = sorted(self.elb.describe_listeners(LoadBalancerArn=arn)["Listeners"], key=lambda one: one["Port"])
        rules = [self.elb.describe_rules(ListenerArn=one["ListenerArn"])["Rules"] for one in listeners]
        health = self.elb.describe_target_health(TargetGroupArn=self.group()["TargetGroupArn"])
        targets = [one["Target"]["Id"] for one in health["TargetHealthDescriptions"]]
        return {
            "balancers": made,
            "group": self.group(),
            "listeners": listeners,
            "rules": [[rule["Priority"] for rule in of] for of in rules],
            "targets": sorted(targets),
        }


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Cloud:
    monkeypatch.setenv("AWS_ENDPOINT_URL", address("MOTO"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    monkeypatch.setenv("AWS_REGION", REGION)
    bounds = Config(connect_timeout=5, read_timeout=60, region_name=REGION)
    ec2, acm, elb = (boto3.client(name, config=bounds) for name in ("ec2", "acm", "elbv2"))
    subnets = ec2.describe_subnets()["Subnets"]
    vpc = subnets[0]["VpcId"]
    made = [secrets.token_hex(4) for _ in range(2)]
    groups = [ec2.create_security_group(GroupName=one, Description=one, VpcId=vpc)["GroupId"] for one in made]
    certificate = acm.request_certificate(DomainName="shop.example.com")["CertificateArn"]
    plan = Plan(
        name=f"shop-{secrets.token_hex(4)}",
        vpc=vpc,
        subnets=tuple(one["SubnetId"] for one in subnets[:2]),
        certificate=certificate,
        targets=("10.0.0.1", "10.0.0.2"),
        security_groups=(groups[0],),
    )
    return Cloud(elb, plan, [], groups)


def test_everything_is_made_once_and_removed(cloud: Cloud) -> None:
    domain = cloud.balancer.create(cloud.plan)
    first = cloud.everything()
    assert first["balancers"][0]["DNSName"] == domain
    assert (first["balancers"][0]["Type"], first["balancers"][0]["Scheme"]) == ("application", "internet-facing")
    assert first["balancers"][0]["SecurityGroups"] == [cloud.groups[0]]
    plain, tls = first["listeners"]
    assert (plain["Port"], plain["DefaultActions"][0]["Type"]) == (80, "redirect")
    assert (tls["Port"], tls["Protocol"], tls["SslPolicy"]) == (443, "HTTPS", "ELBSecurityPolicy-TLS13-1-2-2021-06")
    assert tls["Certificates"][0]["CertificateArn"] == cloud.plan.certificate
    assert tls["DefaultActions"][0]["TargetGroupArn"] == first["group"]["TargetGroupArn"]
    assert (first["group"]["HealthCheckPath"], first["group"]["Matcher"]["HttpCode"]) == ("/api/health/ready", "200")
    assert (first["targets"], first["rules"]) == (["10.0.0.1", "10.0.0.2"], [["default"], ["1", "default"]])

    assert cloud.balancer.create(cloud.plan) == domain
    assert cloud.everything() == first

    cloud.balancer.remove()
    cloud.balancer.remove()
    assert [one for one in cloud.elb.describe_load_balancers()["LoadBalancers"] if one["DNSName"] == domain] == []
    names = {one["TargetGroupName"] for one in cloud.elb.describe_target_groups()["TargetGroups"]}
    assert cloud.plan.name not in names
    assert cloud.told == [
        f"target group {cloud.plan.name}: made",
        "targets: 10.0.0.1, 10.0.0.2 added",
        f"balancer {cloud.plan.name}: made",
        "listener 443: made",
        "listener 80: made",
        f"balancer {cloud.plan.name}: removed",
        f"target group {cloud.plan.name}: removed",
    ]


def test_machines_and_networks_change_and_what_was_broken_off_is_finished(cloud: Cloud) -> None:
    class Broken(Exception):
        """The command is ended here."""

    def break_off(text: str) -> None:
        if text.startswith("balancer"):
            raise Broken

    with pytest.raises(Broken):
        Balancer(cloud.elb, cloud.plan.name, break_off).create(cloud.plan)
    changed = cloud.plan._replace(targets=("10.0.0.2", "10.0.0.3"), security_groups=tuple(cloud.groups))
    cloud.balancer.create(changed)
    now = cloud.everything()
    assert now["targets"] == ["10.0.0.2", "10.0.0.3"]
    assert sorted(now["balancers"][0]["SecurityGroups"]) == sorted(cloud.groups)
    assert [one["Port"] for one in now["listeners"]] == [80, 443]
    assert "targets: 10.0.0.1 drained" in cloud.told
    with pytest.raises(EdgeError, match=r"^Port of a target group cannot change"):
        cloud.balancer.create(changed._replace(port=9000))
    with pytest.raises(EdgeError, match=r"^The balancer is internet-facing, which cannot change"):
        cloud.balancer.create(changed._replace(internal=True))
    cloud.balancer.remove()


def test_what_others_made_under_the_name_is_left_alone(cloud: Cloud) -> None:
    cloud.elb.create_target_group(Name=cloud.plan.name, Protocol="HTTP", Port=8000, VpcId=cloud.plan.vpc)
    for attempt in (lambda: cloud.balancer.create(cloud.plan), cloud.balancer.remove):
        with pytest.raises(EdgeError, match=r"There is a target group shop-\w+ that troupe did not make"):
            attempt()
    assert cloud.group()["TargetGroupName"] == cloud.plan.name
    assert cloud.told == []


def test_the_command_makes_and_removes_it(cloud: Cloud) -> None:
    plan = cloud.plan
    given = ["--name", plan.name, "--vpc", plan.vpc, "--certificate", plan.certificate, "--target", "10.0.0.1"]
    given += [part for one in plan.subnets for part in ("--subnet", one)]
    made = CliRunner().invoke(app, ["aws-lb", "create", *given])
    assert (made.exit_code, made.output.startswith("target group")) == (0, True)
    arn = cloud.everything()["balancers"][0]["LoadBalancerArn"]
    tags = cloud.elb.describe_tags(ResourceArns=[arn])["TagDescriptions"][0]["Tags"]
    assert tags == [{"Key": TAG, "Value": plan.name}]
    assert CliRunner().invoke(app, ["aws-lb", "remove", "--name", plan.name]).exit_code == 0
    refused = CliRunner().invoke(app, ["aws-lb", "create", *given, "--name", "-no-"])
    assert (refused.exit_code, "is no name for a balancer" in refused.output) == (1, True)
