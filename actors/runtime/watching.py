"""Callers who wait for an entity to change or to settle."""

from collections.abc import Iterator

from actors.runtime.entity import Work


class Watcher:
    """`beyond`: the version to get beyond, or -1 to wait until the entity is settled. `until` is monotonic."""

    __slots__ = ("beyond", "until", "work")

    def __init__(self, work: Work, beyond: int, until: float) -> None:
        self.work = work
        self.beyond = beyond
        self.until = until


class Watching:
    """The watchers of one shard, by entity."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[Watcher]] = {}
        self.count = 0

    def __contains__(self, entity: str) -> bool:
        return entity in self._waiting

    def add(self, entity: str, watcher: Watcher) -> None:
        self._waiting.setdefault(entity, []).append(watcher)
        self.count += 1

    def take(self, entity: str, version: int, settled: bool) -> list[Watcher]:
        """Those who have waited for this; they are forgotten."""
        waiting = self._waiting.get(entity)
        if not waiting:
            return []
        ready: list[Watcher] = []
        rest: list[Watcher] = []
        for watcher in waiting:
            (ready if (settled if watcher.beyond < 0 else version > watcher.beyond) else rest).append(watcher)
        if ready:
            self._keep(entity, rest)
        return ready

    def overdue(self, now: float) -> Iterator[tuple[str, Watcher]]:
        """Those whose time is up; they are forgotten."""
        for entity, waiting in list(self._waiting.items()):
            late = [w for w in waiting if w.until <= now]
            if late:
                self._keep(entity, [w for w in waiting if w.until > now])
                for watcher in late:
                    yield entity, watcher

    def drain(self) -> list[Watcher]:
        everybody = [w for waiting in self._waiting.values() for w in waiting]
        self._waiting.clear()
        self.count = 0
        return everybody

    def _keep(self, entity: str, rest: list[Watcher]) -> None:
        self.count += len(rest) - len(self._waiting[entity])
        if rest:
            self._waiting[entity] = rest
        else:
            del self._waiting[entity]
