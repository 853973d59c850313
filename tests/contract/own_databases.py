"""A database of each test's own on a real server, dropped when the test is over."""

from collections.abc import Iterator
from contextlib import contextmanager
from secrets import token_hex
from urllib.parse import urlsplit

from pymongo import MongoClient

from tests.servers import address


@contextmanager
def mongo_database() -> Iterator[str]:
    """The address of a new database in MongoDB."""
    name = f"troupe_test_{token_hex(6)}"
    server = address("MONGO")
    yield urlsplit(server)._replace(path=f"/{name}").geturl()
    client: MongoClient[dict[str, object]] = MongoClient(server)
    try:
        client.drop_database(name)
    finally:
        client.close()
