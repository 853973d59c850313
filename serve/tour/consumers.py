"""Which flow reads which events: what the flows themselves say, found by looking through `pipelines`."""

import pkgutil
from collections.abc import Iterator, Mapping
from importlib import import_module
from inspect import isfunction, signature
from typing import Any, get_origin, get_type_hints

import pipelines
from actors.decision import Message
from pipelines.flow import Flow
from pipelines.log.base import Happened
from pipelines.projection import Projection
from serve.tour.places import Reached, name_of

Reads = Mapping[str, tuple[type[Message], ...]]


def readers() -> dict[str, Reads]:
    """By the name of each flow: the event types that it wants, by kind."""
    return {flow.name: flow.reads for flow in _flows()}


def read_by(happened: Happened, flows: Mapping[str, Reads]) -> list[str]:
    """The flows that want an event."""
    name = name_of(happened.event)
    return [
        flow
        for flow, reads in flows.items()
        if name in {str(one.__struct_config__.tag).partition("/")[0] for one in reads.get(happened.kind, ())}
    ]


def have_read(happened: Happened, flows: Mapping[str, Reads], reached: Reached) -> list[str]:
    """Those of them that are done with it."""
    return [flow for flow in read_by(happened, flows) if reached.done(flow, happened)]


def still_to_read(happened: Happened, flows: Mapping[str, Reads], reached: Reached) -> list[str]:
    """Those that want it, run in this shop, and are not done with it."""
    return [
        flow
        for flow in read_by(happened, flows)
        if flow in reached.flows and not reached.done(flow, happened) and (flow, happened.id) not in reached.letters
    ]


def _flows() -> Iterator[Flow | Projection[Any]]:
    """Each as its own module makes it. What it would call is left out: it is only asked what it reads."""
    for found in pkgutil.iter_modules(pipelines.__path__):
        module = import_module(f"pipelines.{found.name}")
        for name, made in vars(module).items():
            if not isfunction(made) or made.__module__ != module.__name__ or name.startswith("_"):
                continue
            kind = get_type_hints(made).get("return")
            if kind is Flow or get_origin(kind) is Projection:
                yield made(*[None for _ in signature(made).parameters])
