"""A whole shop on real servers of its own, each with a proxy in front of it, so that all of them may be hurt."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple, Self
from unittest.mock import patch

import pytest
import redis

from deploy.servers import Servers
from deploy.servers.environment import for_a_shop
from deploy.servers.server import HOST, Service, free_port
from serve.settings import Settings
from serve.setup_steps import set_up
from tests.aws_wire.running import KEYS, AwsWire, aws_wire
from tests.running import RunningShop
from tests.servers.at_stripe import AtStripe
from tests.servers.disks import small_disks
from tests.servers.nodes import Door
from tests.servers.proxies import Proxies
from tests.stripe_wire.running import new_account, wire

PARTITIONS = 3
SERVERS = ("mongo", "kafka", "mysql", "redis", "elasticsearch")
"""What the shop is run on; each has its setting in `deploy.servers`."""
FEW = ("mysql", "redis")
"""Enough where none of the others is hurt."""
ON_SMALL_DISKS = ("mysql", "mariadb", "mongo")
SMALL_MIB = 512
"""MySQL takes 200 of it for empty tables and a log of what it does, MongoDB up to 300."""
SETTINGS = {
    "TROUPE_KAFKA_PARTITIONS": str(PARTITIONS),
    # Limited, so that who counts is asked, but never refused.
    "TROUPE_RATE_PER_MINUTE": "1000000",
    "TROUPE_RATE_BURST": "100000",
    "TROUPE_RATE_ADDRESS_FACTOR": "100",
}


class Stage(NamedTuple):
    """`stripe`: what it pays at, if that is not the test gateway. `door`: what shoppers call, if not the shop."""

    servers: Servers
    proxies: Proxies | None
    shop: RunningShop
    always: Mapping[str, str]
    stripe: AtStripe | None = None
    door: Door | None = None
    ses: AwsWire | None = None

    @property
    def url(self) -> str:
        return self.shop.url if self.door is None else self.door.envoy.url

    def need(self, server: str) -> None:
        """Skips the test where this machine has no such server."""
        if server in self.servers.missing:
            pytest.skip(f"{server} cannot be run here: {self.servers.missing[server]}")

    def run_with(self, settings: Mapping[str, str]) -> None:
        """Sees to it that the shop runs with these, besides those that it always has."""
        wanted = {**self.always, **settings}
        if self.shop.variables != wanted:
            self.shop.stop()
            self.shop.variables = wanted
            self.shop.start()

    def names(self, server: str) -> str:
        """What the server is called among `servers`: mysql may be MariaDB."""
        return self.servers.stands_in.get(server, server)


class Guarded:
    """The servers, each with a proxy: `with Guarded() as guarded:`. `settings`: of a shop behind the proxies.

    `more`: a program that is fetched besides.
    """

    def __init__(self, names: tuple[str, ...] = SERVERS, more: str = "") -> None:
        self._ports = {name: free_port() for name in names}
        advertised = f"{HOST}:{self._ports['kafka']}" if "kafka" in names else ""
        self.servers = Servers([*names, "toxiproxy", *([more] if more else [])], advertised=advertised)
        self.settings: dict[str, str] = {}

    def __enter__(self) -> Self:
        self.servers.__enter__()
        try:
            running = dict(self.servers.running)
            self.proxies = Proxies(running.pop("toxiproxy").url())
            for name, service in running.items():
                if name in self._ports:
                    self.settings |= self._guard(name, service)
        except BaseException:
            self.servers.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.proxies.close()
        self.servers.stop()

    def _guard(self, name: str, service: Service) -> dict[str, str]:
        (server,) = service.servers
        place = f"{HOST}:{self._ports[name]}"
        self.proxies.add(name, place, server.address)
        # A client of a replica set would ask it where its members are, and go there.
        return {
            key: value.replace(server.address, place).replace("replicaSet=rs0", "directConnection=true")
            for key, value in service.settings().items()
        }


@contextmanager
def on_stage() -> Iterator[Stage]:
    """The shop runs when it begins; all is gone when it ends."""
    with Guarded() as guarded, _shop_on(guarded.settings) as shop:
        yield Stage(guarded.servers, guarded.proxies, shop, dict(shop.variables))


@contextmanager
def on_stripe() -> Iterator[Stage]:
    """On MySQL and Redis alone, with Stripe's wire interface, which has a proxy in front of it as well."""
    with Guarded(FEW) as guarded, wire() as running:
        place = f"{HOST}:{free_port()}"
        guarded.proxies.add("stripe", place, running.url.removeprefix("http://"))
        stripe = AtStripe(running, new_account())
        with _shop_on({**guarded.settings, **stripe.settings(f"http://{place}")}) as shop:
            stripe.calls(shop)
            yield Stage(guarded.servers, guarded.proxies, shop, dict(shop.variables), stripe=stripe)


@contextmanager
def behind_a_door() -> Iterator[Stage]:
    """On MySQL and Redis alone, on two Ray nodes with an Envoy in front of them."""
    with Guarded(FEW, more="envoy") as guarded:
        if "envoy" in guarded.servers.missing:
            pytest.skip(f"envoy cannot be run here: {guarded.servers.missing['envoy']}")
        program = guarded.servers.running["envoy"].url()
        with _shop_on(guarded.settings) as shop, Door(shop, program) as door:
            yield Stage(guarded.servers, guarded.proxies, shop, dict(shop.variables), door=door)


@contextmanager
def on_stage_with_mail() -> Iterator[Stage]:
    """A shop on MySQL and Kafka that mails through a process with SES's interface, all of them behind proxies."""
    port = free_port()
    with patch.dict(os.environ, KEYS), Guarded(("mysql", "kafka")) as guarded, aws_wire() as wire:
        guarded.proxies.add("ses", f"{HOST}:{port}", wire.url.removeprefix("http://"))
        mail = {"TROUPE_MAIL_URL": f"ses://eu-west-1?endpoint=http://{HOST}:{port}"}
        with _shop_on({**guarded.settings, **mail}) as shop:
            yield Stage(guarded.servers, guarded.proxies, shop, dict(shop.variables), ses=wire)


@contextmanager
def on_clusters() -> Iterator[Stage]:
    """As `on_stage`, with three members each of what is made of several, and nothing in front of them."""
    with (
        Servers(SERVERS, brokers=3, mongo_nodes=3) as servers,
        _shop_on(for_a_shop(servers.running)) as shop,
    ):
        yield Stage(servers, None, shop, dict(shop.variables))


@contextmanager
def on_small_disks() -> Iterator[Stage]:
    """As `on_stage`, with the databases' data on small file systems, and nothing in front of them."""
    with (
        small_disks(ON_SMALL_DISKS, SMALL_MIB) as folder,
        Servers(SERVERS, data=folder) as servers,
        _shop_on(for_a_shop(servers.running)) as shop,
    ):
        yield Stage(servers, None, shop, dict(shop.variables))


@contextmanager
def _shop_on(settings: Mapping[str, str]) -> Iterator[RunningShop]:
    shop = RunningShop(demo=False, services=(), **{**SETTINGS, **settings})
    try:
        set_up(shop.settings, lambda _: None)
        with shop:
            yield shop
    finally:
        shop.remove()


def empty_redis(settings: Settings) -> None:
    """FLUSHALL."""
    assert settings.redis_url is not None
    with redis.Redis.from_url(settings.redis_url.get_secret_value()) as client:
        client.flushall()
