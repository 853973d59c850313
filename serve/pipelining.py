"""The flows over Kafka run in processes of their own: members of groups that share the topics' partitions."""

from collections.abc import Mapping

from actors.kinds import KINDS
from actors.runtime.clock import SystemClock, SystemEntropy
from actors.runtime.on_ray.way import RayWay
from actors.runtime.region import Region
from actors.runtime.tasks import Tasks
from serve.gateway import logs, telemetry
from serve.hosting import Flows
from serve.opened import Opened
from serve.self_starting import SelfStarting
from serve.settings import Settings


def pipeline_names(settings: Settings) -> list[str]:
    """None where the flows run beside the first host."""
    return [f"pipeline-{n}" for n in range(settings.pipelines)] if settings.kafka_servers else []


class PipelineActor:
    """One member, as a Ray actor; after any restart it goes on where the flows' progress stands."""

    def __init__(self, name: str, packed: Mapping[str, str]) -> None:
        self._name = name
        self._settings = Settings.unpacked(packed)
        self._work = SelfStarting(name, self._begin)

    async def start(self) -> None:
        """Returns once it runs. Raises what its first try to begin failed with."""
        await self._work.begun()

    async def _begin(self, opened: Opened) -> None:
        settings = self._settings
        logs.configure(settings.log_level)
        telemetry.start(settings.otlp_endpoint, f"troupe-{self._name}")
        way = RayWay(opened.closing(Tasks()))
        await way.start()
        flows = Flows(settings)
        await flows.start(Region(KINDS, way, SystemClock(), SystemEntropy(), settings.shards), None)
        opened.push_async_callback(flows.stop)

    async def stop(self) -> None:
        """As `Flows.stop`."""
        await self._work.stop()
