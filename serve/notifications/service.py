"""Tells people what happened, over each channel that its kind goes over."""

import asyncio
from collections.abc import Mapping

from pipelines.send_mails import raise_foremost
from serve.notifications.channels import Channel
from serve.notifications.kinds import RULES, ChannelName, Message


class Notifications:
    """Implements the port `Mails` of the flows send_mails and notify_users."""

    def __init__(self, channels: Mapping[ChannelName, Channel]) -> None:
        """`channels`: those that this shop has."""
        self._channels = channels
        # Of messages that another channel keeps waiting, perhaps for hours: the others are not asked each time.
        self._done: dict[tuple[str, str], set[ChannelName]] = {}

    async def send(self, message: Message) -> None:
        """Over all channels at once; what fails on one is no other's trouble. Raises what failed, to be asked again."""
        key = (message.event_id, message.template)
        done = self._done.setdefault(key, set())

        async def deliver(name: ChannelName, channel: Channel) -> None:
            if name not in done:
                await channel.deliver(message)
                done.add(name)

        outcomes = await asyncio.gather(*(deliver(*one) for one in self._of(message)), return_exceptions=True)
        if not any(outcomes):
            self._done.pop(key, None)
        raise_foremost(outcomes)

    async def give_up(self, message: Message) -> None:
        self._done.pop((message.event_id, message.template), None)
        for _, channel in self._of(message):
            await channel.give_up(message)

    def _of(self, message: Message) -> list[tuple[ChannelName, Channel]]:
        return [(name, self._channels[name]) for name in RULES[message.template].channels if name in self._channels]
