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

    async def send(self, message: Message) -> None:
        """Over all channels at once; what fails on one is no other's trouble. Raises what failed, to be asked again."""
        deliveries = (channel.deliver(message) for channel in self._of(message))
        raise_foremost(await asyncio.gather(*deliveries, return_exceptions=True))

    async def give_up(self, message: Message) -> None:
        for channel in self._of(message):
            await channel.give_up(message)

    def _of(self, message: Message) -> list[Channel]:
        return [self._channels[name] for name in RULES[message.template].channels if name in self._channels]
