"""A server that is only fetched: each test starts it with a configuration of its own."""

from pathlib import Path
from typing import ClassVar

from deploy.servers.server import Server, Service
from deploy.servers.telling import Telling


class ProgramService(Service):
    """Its address is the program's path."""

    program: Path

    def arrange(self) -> None:
        """There is nothing to run before somebody has a configuration."""

    def start(self, telling: Telling) -> None:
        del telling

    def url(self) -> str:
        return f"file://{self.program}"


class Configured(Server):
    """One that a test starts. `port`: where it tells that it is ready."""

    program: ClassVar[str]
    file: ClassVar[str]

    def __init__(self, url: str, folder: Path, port: int, configuration: str) -> None:
        """`url`: what the service's `url` says. The configuration goes into the folder."""
        super().__init__(self.program, folder, port)
        self.path = url.removeprefix("file://")
        self.configuration = folder / self.file
        self.configuration.write_text(configuration)
