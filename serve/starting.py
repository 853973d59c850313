"""The shop's actors on a running Ray cluster."""

from typing import Any

import ray

from actors.journal.base import ShardId
from actors.kinds import KINDS
from actors.runtime.in_process import all_shards
from actors.runtime.on_ray.placement_actor import start_placement
from actors.runtime.on_ray.way import NAMESPACE, PLACEMENT
from serve.hosting import host_names
from serve.mailing import MailsActor
from serve.payments.gateway.actor import gateway_actor
from serve.pipelining import PipelineActor, pipeline_names
from serve.settings import Settings

FURNISH = "serve.hosting:furnish"
MAILS = "mails"
START_SECONDS = 120.0
STOP_SECONDS = 20.0


def gateway(settings: Settings, namespace: str) -> Any:
    """The test gateway's actor. Its state is its file, so it may die at any time."""
    secret = settings.webhook_secret.get_secret_value() if settings.webhook_secret else ""
    return gateway_actor(
        namespace,
        str(settings.database("gateway")),
        f"{settings.url}/test-gateway",
        f"{settings.url}/api/payments/webhooks/test",
        secret,
    )


def start_actors(settings: Settings) -> None:
    """Starts what isn't there and waits until every shard is with a host. Raises ray.exceptions.RayError."""
    packed = settings.packed()
    if settings.stripe_secret_key is None and not {"payments", "entities"}.isdisjoint(settings.services):
        ray.get(gateway(settings, NAMESPACE).ready.remote(), timeout=START_SECONDS)
    if settings.hosts == 0 or "entities" not in settings.services:
        return
    names = host_names(settings)
    placement = start_placement(_shards(settings), names, FURNISH, packed)
    ray.get(placement.settle.remote(), timeout=START_SECONDS)
    for name in pipeline_names(settings):
        ray.get(_actor(PipelineActor, name, name, packed).start.remote(), timeout=START_SECONDS)
    if "notifications" in settings.services:
        ray.get(_actor(MailsActor, MAILS, packed).start.remote(), timeout=START_SECONDS)


def _shards(settings: Settings) -> list[ShardId]:
    return all_shards(KINDS, settings.shards)


def _actor(kind: type[Any], name: str, *arguments: Any) -> Any:
    """The detached actor of this name; a crash of its process starts it anew."""
    options: dict[str, Any] = {
        "name": name,
        "namespace": NAMESPACE,
        "get_if_exists": True,
        "lifetime": "detached",
        "max_restarts": -1,
        "num_cpus": 0,
    }
    return ray.remote(kind).options(**options).remote(*arguments)


def stop_actors(settings: Settings) -> None:
    """Flows first, then the hosts in order; what does not answer is left to its end."""
    for name in (MAILS, *pipeline_names(settings), PLACEMENT):
        try:
            actor: Any = ray.get_actor(name, namespace=NAMESPACE)
        except ValueError:
            continue  # not all shops have it
        try:
            ray.get(actor.stop.remote(), timeout=STOP_SECONDS)
        except Exception as error:
            # A crash of theirs is what they are made for; say so and go on.
            print(f"  {name}: {type(error).__name__}")  # noqa: T201
