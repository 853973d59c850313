"""What stands in where a process lacks a part of the shop: whoever needs it is told which part that is."""

from collections.abc import Sequence

from actors.decision import Message
from actors.runtime.ports import Answer
from serve.gateway.problems import lacking
from serve.payments.gateway.calls import Call, Reply
from serve.payments.gateway.client import GatewayClient


class NoEntities:
    """`actors.runtime.ports.Entities` where no host runs. Each method raises Problem `service_unavailable`."""

    async def ask(
        self,
        kind: str,
        entity: str,
        command: Message,
        *,
        command_id: str | None = None,
        fingerprint: bytes = b"",
        seconds: float = 10.0,
        creates: bool = False,
        follow: bool = False,
    ) -> Answer:
        raise lacking("entities")

    async def read(self, kind: str, entity: str, *, at_least: int = 0, seconds: float = 5.0) -> Answer:
        raise lacking("entities")

    async def watch(self, kind: str, entity: str, *, beyond: int | None = None, seconds: float) -> Answer:
        raise lacking("entities")


def no_gateway() -> GatewayClient:
    """The payment gateway's port where none is: its calls raise GatewayUnavailable."""

    async def carry_out(_: Sequence[Call]) -> Sequence[Reply]:
        raise lacking("payments")

    return GatewayClient(carry_out)
