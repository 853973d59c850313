"""Passwords: argon2id off the event loop, in a pool that can be full but not be flooded."""

import asyncio
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from passlib.hash import argon2

from actors.runtime.ports import Overloaded
from serve.gateway.common_passwords import COMMON
from serve.gateway.problems import Problem

T = TypeVar("T")
SHORTEST, LONGEST = 12, 128
"""Characters of a new password."""
LOOKED_AT = 256
"""Longer ones are not even compared."""
_DECORATION = re.compile(r"[\d\W_]+")


class Passwords:
    """`memory_kib`, `time_cost` and `parallelism` are argon2's; at most `waiting` hashes wait or run at once."""

    def __init__(
        self,
        *,
        memory_kib: int = 19_456,
        time_cost: int = 2,
        parallelism: int = 1,
        threads: int = 2,
        waiting: int = 64,
    ) -> None:
        self._argon2 = argon2.using(type="ID", memory_cost=memory_kib, time_cost=time_cost, parallelism=parallelism)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="argon2")
        self._most = waiting
        self._waiting = 0
        # Verified against when there is no such user, so that the time taken does not tell who has an account.
        self._dummy: str = self._argon2.hash("nobody has this password")

    async def hash(self, password: str) -> str:
        """Raises Overloaded when too many are waiting."""
        return await self._run(lambda: str(self._argon2.hash(password)))

    async def verify(self, password: str, hashed: str | None) -> bool:
        """None or empty: there is no such user, or no password; false, after as much work. Raises Overloaded."""
        if len(password) > LOOKED_AT:
            return False
        matches = await self._run(lambda: bool(self._argon2.verify(password, hashed or self._dummy)))
        return matches and bool(hashed)

    def is_outdated(self, hashed: str) -> bool:
        """Whether it was made at another cost than is configured now, and should be made again at the next log-in."""
        return bool(self._argon2.needs_update(hashed))

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= self._most:
            raise Overloaded(2.0)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._waiting -= 1


def check_strength(password: str, *personal: str) -> None:
    """Raises Problem `weak_password` for one that is short, common, or made of what is `personal` (email, name)."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise Problem("weak_password", f"Use {SHORTEST} to {LONGEST} characters.")
    folded = password.casefold()
    bare = _DECORATION.sub("", folded)
    if folded in COMMON or (bare in COMMON and len(password) < 16) or len(set(folded)) < 4:
        raise Problem("weak_password", "This password is among the first that anyone would try.")
    parts = {part for text in personal for part in re.split(r"[\W_]+", text.casefold()) if len(part) >= 3}
    left = folded
    for part in sorted(parts, key=len, reverse=True):
        left = left.replace(part, "")
    if left != folded and len(left) < 6:
        raise Problem("weak_password", "Do not make it from your name or email address.")
