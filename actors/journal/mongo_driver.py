"""MongoDB's driver, all that would change with another: motor, whose place pymongo's own AsyncMongoClient can take.

The two have the same calls and differ in which of them are awaited: those are made here.
"""

from typing import Any

from motor.motor_asyncio import AsyncIOMotorClient


def connect(url: str, **options: Any) -> Any:
    """A client; it connects when it is first used. With AsyncMongoClient: the same."""
    return AsyncIOMotorClient(url, **options)


async def open_session(client: Any) -> Any:
    """A causally consistent session. With AsyncMongoClient: not awaited."""
    return await client.start_session(causal_consistency=True)


async def disconnect(client: Any) -> None:
    """Closes all connections. With AsyncMongoClient: awaited."""
    client.close()
