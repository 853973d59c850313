"""Token buckets in Redis, the same for all replicas; in this process's memory while Redis does not answer."""

from hashlib import blake2b

from serve.gateway.rate_limits import InProcessLimits, Limit, RateLimits, Verdict, verdict_of
from serve.redis_server import RedisAway, RedisServer

# By the server's own time, in milliseconds: replicas' clocks differ. A bucket that is full again is forgotten.
TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local rate, burst = tonumber(ARGV[1]) / 60000, tonumber(ARGV[2])
local kept = redis.call('HMGET', KEYS[1], 'left', 'at')
local left = tonumber(kept[1] or burst)
local since = math.max(0, now - tonumber(kept[2] or now))
left = math.min(burst, left + since * rate)
local allowed = 0
if left >= 1 then allowed = 1; left = left - 1 end
redis.call('HSET', KEYS[1], 'left', string.format('%.9g', left), 'at', now)
redis.call('PEXPIRE', KEYS[1], math.ceil((burst - left) / rate) + 1000)
return {allowed, string.format('%.9g', left)}
"""


class RedisLimits:
    """Implements `RateLimits`. `alone`: counts while Redis is away; it knows nothing of what was counted there."""

    def __init__(self, redis: RedisServer, alone: RateLimits | None = None) -> None:
        self._redis = redis
        self._alone = alone or InProcessLimits()

    async def take(self, caller: str, limit: Limit) -> Verdict:
        """See `RateLimits`."""
        # Callers are people's addresses and ids, which stand nowhere.
        name = blake2b(f"{limit.group}\0{caller}".encode(), digest_size=16).hexdigest()
        try:
            allowed, left = await self._redis.run(
                TAKE, [f"{self._redis.prefix}:limit:{name}"], [limit.per_minute, limit.burst]
            )
        except RedisAway:
            return await self._alone.take(caller, limit)
        return verdict_of(limit, bool(allowed), float(left))
