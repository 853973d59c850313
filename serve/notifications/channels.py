"""The port to a way of reaching people."""

from typing import Protocol

from serve.notifications.kinds import Message


class Channel(Protocol):
    async def deliver(self, message: Message) -> None:
        """Once for each event and kind, and not if the owner turned it off. Raises as `pipelines.send_mails.Mails`."""
        ...

    async def give_up(self, message: Message) -> None:
        """The next `deliver` is somebody's wish: whatever may have become of the message, it goes out again."""
        ...
