"""What can go wrong with any request of an interface, asked for at each of its operations."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import httpx

from actors.runtime.ports import Unavailable
from actors.runtime.region import Region
from serve.gateway import call
from serve.gateway.rate_limits import InProcessLimits, Verdict
from tests.unit.interface import Interface, Operation, announced

BAD_TOKEN = "eyJ0eXAiOiJhdCtqd3QifQ.e30.c2lnbmF0dXJl"
TOO_LONG = call.MAX_BODY + 1


def ask_for_problems(interface: Interface, guest: str, shopper: str, staff: str) -> None:
    """`guest`, `shopper` and `staff`: tokens of theirs."""
    with (
        interface.client() as nobody,
        interface.client(guest) as eve,
        interface.client(shopper) as ada,
        interface.client(staff) as bob,
    ):
        for operation in interface.operations:
            _unknown_caller(operation, nobody)
            _wrong_caller(operation, eve)
            _wrong_caller(operation, ada)
            for client in (ada, bob):
                _nothing_there(interface, operation, client)
                _does_not_fit(operation, client)
                _bad_key_cursor_or_period(interface, operation, client)
        for operation in interface.with_body():
            _bad_body(operation, bob)
        _too_often(interface, bob)
        _unavailable(interface, bob)
    _bodies_that_do_not_come(interface, staff)


def _unknown_caller(operation: Operation, nobody: httpx.Client) -> None:
    if 401 in operation.statuses:
        nobody.request(operation.method, operation.at(), headers={"Authorization": f"Bearer {BAD_TOKEN}"})


def _wrong_caller(operation: Operation, caller: httpx.Client) -> None:
    if 403 in operation.statuses:
        caller.request(operation.method, operation.at())


def _nothing_there(interface: Interface, operation: Operation, client: httpx.Client) -> None:
    if 404 in operation.statuses:
        body = interface.example(operation) if operation.takes_a_body else None
        client.request(operation.method, operation.at(), json=body)


def _does_not_fit(operation: Operation, client: httpx.Client) -> None:
    if 422 not in operation.statuses:
        return
    if operation.takes_a_body:
        client.request(operation.method, operation.at(), json=[])
    if operation.parameters("query"):
        nonsense = {one["name"]: "x" * 1_000 for one in operation.parameters("query")}
        client.request(operation.method, operation.at(), params=nonsense)
    numbers = [one["name"] for one in operation.parameters("path") if one.get("schema", {}).get("type") == "integer"]
    if numbers:
        client.request(operation.method, operation.at(**dict.fromkeys(numbers, "x")))


def _bad_key_cursor_or_period(interface: Interface, operation: Operation, client: httpx.Client) -> None:
    names = {one["name"] for one in (*operation.parameters("query"), *operation.parameters("header"))}
    if {"from", "to"} <= set(names):
        client.request(operation.method, operation.at(), params={"from": 2, "to": 1})
    if "cursor" in names:
        client.request(operation.method, operation.at(), params={"cursor": "no.such.place"})
    if "Idempotency-Key" in names:
        body = interface.example(operation) if operation.takes_a_body else None
        client.request(operation.method, operation.at(), json=body, headers={"Idempotency-Key": "of two words"})


def _bad_body(operation: Operation, client: httpx.Client) -> None:
    path, json = operation.at(), {"Content-Type": "application/json"}
    client.request(operation.method, path, content=b"{", headers=json)
    client.request(operation.method, path, content=b"{}", headers={"Content-Type": "application/xml"})


def _too_often(interface: Interface, client: httpx.Client) -> None:
    async def refuse(*_: object) -> Verdict:
        return Verdict(False, 1, 0, 1)

    with patch.object(InProcessLimits, "take", refuse):
        for operation in interface.operations:
            client.request(operation.method, operation.at())


@contextmanager
def no_host() -> Iterator[None]:
    """Entities are asked in vain, as when no host has them."""

    async def nobody(*_: object, **__: object) -> None:
        raise Unavailable("nobody has it")

    with patch.multiple(Region, ask=nobody, read=nobody, watch=nobody):
        yield


def _unavailable(interface: Interface, client: httpx.Client) -> None:
    with no_host():
        for operation in interface.operations:
            body = interface.example(operation) if operation.takes_a_body else None
            with client.stream(operation.method, operation.at(), json=body) as answer:
                # A stream that asks no entity goes on and on.
                if not operation.streams:
                    answer.read()


def _bodies_that_do_not_come(interface: Interface, token: str) -> None:
    for operation in interface.operations:
        if 413 in operation.statuses:
            _announce(interface, operation, TOO_LONG, token)
    with patch.object(call, "BODY_SECONDS", 0.05):
        for operation in interface.with_body():
            if 408 in operation.statuses:
                _announce(interface, operation, 10, token)


def _announce(interface: Interface, operation: Operation, length: int, token: str) -> None:
    answer = announced(interface.url, operation, length, token)

    def check() -> None:
        assert answer.body["status"] == answer.status

    interface.note(operation, answer.status, check, str(answer.body))
