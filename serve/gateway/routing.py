"""Finds the lean routes of a path: one dict look-up without parameters, a short walk along the segments with them."""

from collections.abc import Sequence
from typing import NamedTuple

from serve.gateway.lean import Route


class Found(NamedTuple):
    """The operations of a path, by method, and the texts that stand where the template has parameters."""

    methods: dict[str, Route]
    values: list[str]


class _Node:
    __slots__ = ("methods", "named", "parameter")

    def __init__(self) -> None:
        self.named: dict[str, _Node] = {}
        self.parameter: _Node | None = None
        self.methods: dict[str, Route] = {}


class Table:
    """All lean routes. Raises ValueError for two declarations of one operation."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._static: dict[str, Found] = {}
        self._root = _Node()
        for route in routes:
            methods = self._methods_of(route)
            if route.method in methods:
                raise ValueError(f"{route.method} {route.path} is declared twice")
            methods[route.method] = route

    def _methods_of(self, route: Route) -> dict[str, Route]:
        if not route.names:
            return self._static.setdefault(route.path, Found({}, [])).methods
        node = self._root
        for segment in route.segments:
            if segment is not None:
                node = node.named.setdefault(segment, _Node())
                continue
            if node.parameter is None:
                node.parameter = _Node()
            node = node.parameter
        return node.methods

    def find(self, path: str) -> Found | None:
        """A name in a template goes before a parameter at the same place."""
        found = self._static.get(path)
        return found if found is not None else _walk(self._root, path.split("/"), 1, [])


def _walk(node: _Node, segments: list[str], at: int, values: list[str]) -> Found | None:
    if at == len(segments):
        return Found(node.methods, values) if node.methods else None
    segment = segments[at]
    named = node.named.get(segment)
    if named is not None:
        found = _walk(named, segments, at + 1, values)
        if found is not None:
            return found
    if node.parameter is not None and segment:
        return _walk(node.parameter, segments, at + 1, [*values, segment])
    return None
