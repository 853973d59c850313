"""Carts as they were a moment ago, in Redis, so that who only looks wakes no entity.

What is kept was read at most a second before it is shown. Who says which version they have seen is never shown an older
one; who does not may be shown one up to a second old. Nothing decides by what is kept here.
"""

import time
from collections.abc import Awaitable, Callable
from hashlib import blake2b

import msgspec

from actors.cart import CartView
from actors.runtime.ports import Answer
from actors.runtime.wire import encode
from serve.redis_server import RedisAway, RedisServer

# From the moment that a read begins until it is shown for the last time, with what writing it here may take.
KEPT = 1.0

GET = "return redis.call('HMGET', KEYS[1], 'version', 'cart')"
# A read that took long may come after a newer one. Of the same version the one that was read later is kept longer.
PUT = """
local kept = tonumber(redis.call('HGET', KEYS[1], 'version') or -1)
local version, left = tonumber(ARGV[1]), tonumber(ARGV[3])
if kept > version or (kept == version and redis.call('PTTL', KEYS[1]) >= left) then return 0 end
redis.call('HSET', KEYS[1], 'version', ARGV[1], 'cart', ARGV[2])
redis.call('PEXPIRE', KEYS[1], left)
return 1
"""

_decoder = msgspec.msgpack.Decoder(CartView)


class KeptCarts:
    """Never raises for Redis' sake: without it every cart is read where it is."""

    def __init__(self, redis: RedisServer, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._redis = redis
        self._now = monotonic

    async def read(self, cart_id: str, at_least: int, read: Callable[[], Awaitable[Answer]]) -> Answer:
        """What is kept, if it is of version `at_least` or later; else what `read` answers. Raises what that does."""
        kept = await self._get(cart_id)
        if kept is not None and kept.version >= at_least:
            return kept
        began = self._now()
        answer = await read()
        await self.put(cart_id, answer, began)
        return answer

    async def put(self, cart_id: str, answer: Answer, began: float) -> None:
        """`began`: when it began to be read, so that it was true then or later; of this process's monotonic clock."""
        left = int(1000 * (began + KEPT - self._redis.seconds - self._now()))
        if left <= 0 or not isinstance(answer.reply, CartView):
            return
        try:
            await self._redis.run(PUT, [self._key(cart_id)], [answer.version, encode(answer.reply), left])
        except RedisAway:
            return  # what is there ends by itself

    async def _get(self, cart_id: str) -> Answer | None:
        try:
            version, cart = await self._redis.run(GET, [self._key(cart_id)], [])
            return None if version is None else Answer(_decoder.decode(cart), int(version))
        except (RedisAway, msgspec.MsgspecError):
            return None  # or of another release of ours

    def _key(self, cart_id: str) -> str:
        # A user's id is a cart's, and stands nowhere.
        return f"{self._redis.prefix}:cart:{blake2b(cart_id.encode(), digest_size=16).hexdigest()}"
