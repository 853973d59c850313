"""An Application Load Balancer of AWS over the shop's machines: made, brought up to date and removed by its name.

Everything carries a tag; what has the name and not the tag was made by somebody else, and is left alone.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError, WaiterError

from serve.edge.front_door import READY_PATH, SILENT_SECONDS, EdgeError

TAG = "troupe:balancer"
TLS_POLICY = "ELBSecurityPolicy-TLS13-1-2-2021-06"
DRAIN_SECONDS = 90
"""How long a machine that is taken away may answer what it has; longer than a checkout takes."""
_HIDDEN = ("/metrics", "/api/health/*", "/-/*")
_HEALTH: Mapping[str, Any] = {
    "HealthCheckProtocol": "HTTP",
    "HealthCheckPath": READY_PATH,
    "HealthCheckIntervalSeconds": 5,
    "HealthCheckTimeoutSeconds": 4,
    "HealthyThresholdCount": 2,
    "UnhealthyThresholdCount": 2,
    "Matcher": {"HttpCode": "200"},
}

Tell = Callable[[str], object]


class Plan(NamedTuple):
    """What is wanted. `targets`: ids of instances, or addresses in the network; all of one kind."""

    name: str
    vpc: str
    subnets: tuple[str, ...]
    certificate: str
    targets: tuple[str, ...]
    port: int = 8000
    security_groups: tuple[str, ...] = ()
    internal: bool = False


class Balancer:
    """`client`: boto3's for elbv2. Calls raise EdgeError when AWS refuses, or something is in the way."""

    def __init__(self, client: Any, name: str, tell: Tell) -> None:
        if not re.fullmatch(r"(?!internal-)[A-Za-z0-9]([A-Za-z0-9-]{0,30}[A-Za-z0-9])?", name):
            raise EdgeError(f"{name!r:.80} is no name for a balancer: at most 32 letters, digits and hyphens.")
        self._client = client
        self._name = name
        self._tell = tell

    def create(self, plan: Plan) -> str:
        """Makes what is missing and changes what differs; the balancer's own domain name. It can be done again."""
        try:
            group = self._target_group(plan)
            self._targets(group, plan)
            balancer = self._balancer(plan)
            self._listeners(balancer["LoadBalancerArn"], group, plan.certificate)
        except (ClientError, BotoCoreError) as error:
            raise _told(error) from None
        return str(balancer["DNSName"])

    def remove(self, seconds: int = 300) -> None:
        """Removes what `create` made, as far as it is there. Raises EdgeError also if it takes longer."""
        try:
            balancer = self._found_balancer()
            if balancer is not None:
                arn = balancer["LoadBalancerArn"]
                self._client.delete_load_balancer(LoadBalancerArn=arn)
                waiter = self._client.get_waiter("load_balancers_deleted")
                waiter.wait(LoadBalancerArns=[arn], WaiterConfig={"Delay": 5, "MaxAttempts": max(1, seconds // 5)})
                self._tell(f"balancer {self._name}: removed")
            group = self._found_group()
            if group is not None:
                self._client.delete_target_group(TargetGroupArn=group["TargetGroupArn"])
                self._tell(f"target group {self._name}: removed")
        except WaiterError:
            raise EdgeError(f"The balancer was not gone after {seconds} s; remove it again later.") from None
        except (ClientError, BotoCoreError) as error:
            raise _told(error) from None

    # The target group

    def _target_group(self, plan: Plan) -> str:
        found = self._found_group()
        kind = _kind(plan.targets)
        if found is None:
            made = self._client.create_target_group(
                Name=self._name,
                Protocol="HTTP",
                Port=plan.port,
                VpcId=plan.vpc,
                TargetType=kind,
                Tags=self._tags,
                **_HEALTH,
            )
            found = made["TargetGroups"][0]
            self._tell(f"target group {self._name}: made")
        fixed = {"Port": plan.port, "VpcId": plan.vpc, "TargetType": kind}
        if differing := [name for name, value in fixed.items() if found[name] != value]:
            raise EdgeError(f"{', '.join(differing)} of a target group cannot change: remove the balancer first.")
        arn = str(found["TargetGroupArn"])
        self._client.modify_target_group(TargetGroupArn=arn, **_HEALTH)
        attributes = [{"Key": "deregistration_delay.timeout_seconds", "Value": str(DRAIN_SECONDS)}]
        self._client.modify_target_group_attributes(TargetGroupArn=arn, Attributes=attributes)
        return arn

    def _targets(self, group: str, plan: Plan) -> None:
        """Who is not named any more is drained: it answers what it has."""
        health = self._client.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
        there = {one["Target"]["Id"] for one in health if one["TargetHealth"]["State"] != "draining"}
        new = [one for one in plan.targets if one not in there]
        old = sorted(there.difference(plan.targets))
        if new:
            self._client.register_targets(TargetGroupArn=group, Targets=[{"Id": one, "Port": plan.port} for one in new])
            self._tell(f"targets: {', '.join(new)} added")
        if old:
            self._client.deregister_targets(
                TargetGroupArn=group, Targets=[{"Id": one, "Port": plan.port} for one in old]
            )
            self._tell(f"targets: {', '.join(old)} drained")

    # The balancer

    def _balancer(self, plan: Plan) -> Any:
        scheme = "internal" if plan.internal else "internet-facing"
        found = self._found_balancer()
        if found is None:
            groups = {"SecurityGroups": list(plan.security_groups)} if plan.security_groups else {}
            made = self._client.create_load_balancer(
                Name=self._name,
                Type="application",
                Scheme=scheme,
                Subnets=list(plan.subnets),
                Tags=self._tags,
                **groups,
            )
            found = made["LoadBalancers"][0]
            self._tell(f"balancer {self._name}: made")
        if found["Scheme"] != scheme:
            raise EdgeError(f"The balancer is {found['Scheme']}, which cannot change: remove it first.")
        arn = found["LoadBalancerArn"]
        if {zone["SubnetId"] for zone in found["AvailabilityZones"]} != set(plan.subnets):
            self._client.set_subnets(LoadBalancerArn=arn, Subnets=list(plan.subnets))
        if plan.security_groups and set(found.get("SecurityGroups", ())) != set(plan.security_groups):
            self._client.set_security_groups(LoadBalancerArn=arn, SecurityGroups=list(plan.security_groups))
        wanted = {
            "idle_timeout.timeout_seconds": str(SILENT_SECONDS),
            "routing.http.drop_invalid_header_fields.enabled": "true",
            "routing.http.xff_header_processing.mode": "append",
        }
        attributes = [{"Key": name, "Value": value} for name, value in wanted.items()]
        self._client.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=attributes)
        return found

    def _listeners(self, balancer: str, group: str, certificate: str) -> None:
        found = self._client.describe_listeners(LoadBalancerArn=balancer)["Listeners"]
        there = {one["Port"]: one["ListenerArn"] for one in found}
        tls = {
            "Protocol": "HTTPS",
            "Port": 443,
            "SslPolicy": TLS_POLICY,
            "Certificates": [{"CertificateArn": certificate}],
            "DefaultActions": [{"Type": "forward", "TargetGroupArn": group}],
        }
        redirect = {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}
        plain = {
            "Protocol": "HTTP",
            "Port": 80,
            "DefaultActions": [{"Type": "redirect", "RedirectConfig": redirect}],
        }
        for wanted in (tls, plain):
            arn = there.get(wanted["Port"])
            if arn is None:
                made = self._client.create_listener(LoadBalancerArn=balancer, Tags=self._tags, **wanted)
                arn = made["Listeners"][0]["ListenerArn"]
                self._tell(f"listener {wanted['Port']}: made")
            else:
                self._client.modify_listener(ListenerArn=arn, **wanted)
            if wanted is tls:
                self._hide(arn)

    def _hide(self, listener: str) -> None:
        """What is not for the world is answered by the balancer."""
        rules = self._client.describe_rules(ListenerArn=listener)["Rules"]
        wanted: dict[str, Any] = {
            "Conditions": [{"Field": "path-pattern", "PathPatternConfig": {"Values": list(_HIDDEN)}}],
            "Actions": [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}],
        }
        for rule in rules:
            if rule["Priority"] == "1":
                self._client.modify_rule(RuleArn=rule["RuleArn"], **wanted)
                return
        self._client.create_rule(ListenerArn=listener, Priority=1, Tags=self._tags, **wanted)

    # What is there

    @property
    def _tags(self) -> list[dict[str, str]]:
        return [{"Key": TAG, "Value": self._name}]

    def _found_balancer(self) -> Any:
        found = self._described("describe_load_balancers", "LoadBalancers", "LoadBalancerNotFound")
        return self._ours(found, "LoadBalancerArn", "balancer")

    def _found_group(self) -> Any:
        found = self._described("describe_target_groups", "TargetGroups", "TargetGroupNotFound")
        return self._ours(found, "TargetGroupArn", "target group")

    def _described(self, call: str, key: str, absent: str) -> Any:
        try:
            return getattr(self._client, call)(Names=[self._name])[key][0]
        except ClientError as error:
            if error.response["Error"]["Code"] == absent:
                return None
            raise

    def _ours(self, found: Any, key: str, what: str) -> Any:
        if found is None:
            return None
        (tags,) = self._client.describe_tags(ResourceArns=[found[key]])["TagDescriptions"]
        if {"Key": TAG, "Value": self._name} not in tags["Tags"]:
            raise EdgeError(f"There is a {what} {self._name} that troupe did not make; choose another name.")
        return found


def _kind(targets: tuple[str, ...]) -> str:
    kinds = {"instance" if one.startswith("i-") else "ip" for one in targets}
    if len(kinds) != 1:
        raise EdgeError("Targets are instances, i-..., or addresses, not both, and at least one.")
    return kinds.pop()


def _told(error: ClientError | BotoCoreError) -> EdgeError:
    if isinstance(error, BotoCoreError):
        return EdgeError(f"AWS cannot be called: {error}")
    found = error.response["Error"]
    return EdgeError(f"AWS refused {error.operation_name}: {found['Code']}: {found.get('Message', '')}")
