"""Effects: calls to the world outside, made once their record is durable and again until they are answered."""

import asyncio
import logging
from collections.abc import Mapping
from functools import partial

from actors.runtime.open_work import OpenEffect
from actors.runtime.parts import Parts
from actors.runtime.ports import EffectRunner
from actors.runtime.shard import Shard
from actors.runtime.wire import Envelope, Mode, Result, Status, encode

_log = logging.getLogger("troupe.runtime")


class Effects:
    """The effects under way of all shards of a host; no more than a bounded number at once."""

    def __init__(self, parts: Parts, runners: Mapping[str, EffectRunner]) -> None:
        self._parts = parts
        self._runners = runners
        self._room = asyncio.Semaphore(parts.limits.effects_at_once)

    def start(self, shard: Shard, effect: OpenEffect) -> None:
        self._parts.tasks.start(self._run(shard, effect), f"effect of {shard.kind.name}/{effect.entity}")

    async def _run(self, shard: Shard, effect: OpenEffect) -> None:
        attempt = 0
        while not shard.closed:
            try:
                async with self._room:
                    request = shard.kind.effect(effect.request)
                    async with asyncio.timeout(self._parts.limits.effect_seconds):
                        answer = await self._runners[shard.kind.name].run(request)
                break
            except Exception as error:
                # Whatever it was, the outcome is unknown; the request carries what makes a repetition harmless.
                _log.warning("effect of %s/%s: %s", shard.kind.name, effect.entity, type(error).__name__)
                await self._pause(attempt)
                attempt += 1
        else:
            return
        await self._tell(shard, effect, encode(answer))

    async def _tell(self, shard: Shard, effect: OpenEffect, command: bytes) -> None:
        attempt = 0
        while not shard.closed:
            told: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
            envelope = Envelope(
                Mode.MESSAGE,
                shard.kind.name,
                effect.entity,
                command,
                command_id=effect.command_id,
                again=attempt > 0,
            )
            shard.accept(envelope, partial(_tell, told))
            if (await told).status in (Status.OK, Status.REPEATED):
                return
            await self._pause(attempt)
            attempt += 1

    async def _pause(self, attempt: int) -> None:
        limits = self._parts.limits
        delay = min(limits.retry_first * 2 ** min(attempt, 20), limits.retry_most)
        await self._parts.clock.sleep(delay * (0.5 + self._parts.entropy.fraction() / 2))


def _tell(told: asyncio.Future[Result], result: Result) -> None:
    if not told.done():
        told.set_result(result)
