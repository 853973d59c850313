"""What the journal's database says of the shards."""

import sqlite3

from tests.running import RunningShop


def rows(shop: RunningShop, query: str, *values: object) -> list[tuple[object, ...]]:
    database = sqlite3.connect(f"file:{shop.settings.database('journal')}?mode=ro", uri=True, timeout=10.0)
    try:
        return database.execute(query, values).fetchall()
    finally:
        database.close()


def owner(shop: RunningShop, kind: str, number: int) -> str:
    """The name of the host that has the shard."""
    ((found,),) = rows(shop, "SELECT owner FROM shards WHERE kind = ? AND shard = ?", kind, number)
    return str(found).partition(":")[0]
