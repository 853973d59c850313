"""The caller's side: finds the host of an id, asks, and asks again with the same command id when the way was broken."""

import asyncio
from collections.abc import Mapping
from functools import partial

from actors.decision import Message
from actors.runtime.kind import Kind, shard_of
from actors.runtime.ports import Answer, Clock, CommandFailed, Done, Entropy, KeyReused, Overloaded, Unavailable, Way
from actors.runtime.wire import Envelope, Mode, Result, Status, encode

# A watch is answered by the host at its deadline; the caller waits a little longer before it gives up.
GRACE = 2.0
FIRST_PAUSE = 0.02
LONGEST_PAUSE = 0.5

_UNREACHABLE = Result(Status.UNAVAILABLE, retry_after=1.0)


class Region:
    """Implements `Entities` over a `Way`."""

    def __init__(self, kinds: Mapping[str, Kind], way: Way, clock: Clock, entropy: Entropy, shards: int = 64) -> None:
        self._kinds = kinds
        self._way = way
        self._clock = clock
        self._entropy = entropy
        self._shards = shards

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
        """See `Entities.ask`."""
        envelope = Envelope(
            Mode.ASK,
            kind,
            entity,
            encode(command),
            command_id="c:" + (command_id or self._entropy.token().hex()),
            fingerprint=fingerprint,
            creates=creates,
            keyed=command_id is not None,
            follow=follow,
            seconds=seconds,
        )
        until = self._clock.monotonic() + seconds
        answer = await self._insist(envelope, seconds + (GRACE if follow else 0.0))
        if follow:
            return await self._follow(kind, answer, max(0.0, until - self._clock.monotonic()))
        return answer

    async def _follow(self, kind: str, answer: Answer, seconds: float) -> Answer:
        """When the host could not wait for the other entity itself, because another host has it."""
        target = self._kinds[kind].follows(answer.reply)
        if target is None:
            return answer
        try:
            seen = await self.watch(*target, seconds=seconds)
        except (Overloaded, Unavailable):
            # The command was carried out all the same, and that is what its caller must know.
            return answer
        return seen._replace(repeated=answer.repeated)

    async def read(self, kind: str, entity: str, *, at_least: int = 0, seconds: float = 5.0) -> Answer:
        """See `Entities.read`."""
        return await self._insist(Envelope(Mode.READ, kind, entity, number=at_least, seconds=seconds), seconds)

    async def watch(self, kind: str, entity: str, *, beyond: int | None = None, seconds: float) -> Answer:
        """See `Entities.watch`."""
        number = -1 if beyond is None else beyond
        return await self._insist(Envelope(Mode.WATCH, kind, entity, number=number, seconds=seconds), seconds + GRACE)

    def post(self, envelope: Envelope, done: Done) -> None:
        """Sends once; who calls tries again. This is the way between hosts."""
        link = self._way.link(envelope.kind, shard_of(envelope.entity, self._shards))
        if link is None:
            done(_UNREACHABLE)
        else:
            link.post(envelope, done)

    async def _insist(self, envelope: Envelope, seconds: float) -> Answer:
        until = self._clock.monotonic() + seconds
        pause = FIRST_PAUSE
        while True:
            left = until - self._clock.monotonic()
            result = await self._once(envelope, left)
            match result.status:
                case Status.OK | Status.REPEATED:
                    reply = self._kinds[result.kind or envelope.kind].reply(result.reply)
                    return Answer(reply, result.version, result.status is Status.REPEATED)
                case Status.OVERLOADED if envelope.again:
                    # Refused this time; an earlier try may have been carried out.
                    raise Unavailable("overloaded", result.retry_after)
                case Status.OVERLOADED:
                    raise Overloaded(result.retry_after)
                case Status.KEY_REUSED:
                    raise KeyReused
                case Status.FAILED:
                    raise CommandFailed(f"{envelope.kind}/{envelope.entity}")
            # It may have been carried out: from now on whoever gets it must look first.
            envelope.again = True
            envelope.creates = False
            if until - self._clock.monotonic() <= pause:
                raise Unavailable
            await self._clock.sleep(pause * (0.5 + self._entropy.fraction()))
            pause = min(2 * pause, LONGEST_PAUSE)
            await self._way.refresh()
            if envelope.mode is Mode.WATCH or envelope.follow:
                envelope.seconds = max(0.0, until - GRACE - self._clock.monotonic())

    async def _once(self, envelope: Envelope, seconds: float) -> Result:
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[Result] = loop.create_future()
        done = partial(_settle, answered)
        self.post(envelope, done)
        if answered.done():
            return answered.result()
        # A timer of the loop costs a fraction of a timeout block, and this is asked thousands of times a second.
        late = loop.call_later(max(seconds, 0.001), done, _UNREACHABLE)
        try:
            return await answered
        finally:
            late.cancel()


def _settle(answered: asyncio.Future[Result], result: Result) -> None:
    """The caller may have hung up, or been told that nobody answers."""
    if not answered.done():
        answered.set_result(result)
