"""Kinds: stored types live on through upcasts, and an id's shard is the same for ever."""

from typing import Any

import msgspec
import pytest

from actors.decision import Done, Message, Refused
from actors.runtime.kind import Kind, shard_of
from actors.runtime.wire import Body, Note, Record, SentMessage, Status, TimerNote, body_of, encode
from tests.unit.toy import Toy


class Named1(Message, frozen=True, tag="Named/1"):
    name: str


class Named2(Message, frozen=True, tag="Named/2"):
    first: str
    last: str


class Named3(Message, frozen=True, tag="Named/3"):
    first: str
    last: str
    title: str


class Old(msgspec.Struct, frozen=True, tag="State/1"):
    name: str = ""


class New(msgspec.Struct, frozen=True, tag="State/2"):
    names: tuple[str, ...] = ()


def _split(old: Any) -> Named2:
    first, _, last = old.name.partition(" ")
    return Named2(first, last)


def _kind() -> Kind:
    toy = Toy().kinds()["account"]
    return Kind(
        name="person",
        state=Old | New,
        commands=Named1 | Named2 | Named3,
        events=Named1 | Named2 | Named3,
        replies=Named1 | Named2 | Named3,
        initial=lambda entity: New(),
        decide=toy.decide,
        apply=toy.apply,
        view=toy.view,
        settled=toy.settled,
        effects=Named1 | Named2 | Named3,
        upcasts={
            Named1: _split,
            Named2: lambda old: Named3(old.first, old.last, "none"),
            Old: lambda old: New((old.name,)),
        },
    )


@pytest.mark.parametrize("what", ["command", "event", "reply", "effect"])
def test_what_was_written_long_ago_is_read_as_todays(what: str) -> None:
    decode = getattr(_kind(), what)
    today = Named3("Ada", "Lovelace", "none")
    assert decode(encode(Named1("Ada Lovelace"))) == today
    assert decode(encode(Named2("Ada", "Lovelace"))) == today
    assert decode(encode(today)) == today


def test_states_too() -> None:
    assert _kind().state_of(encode(Old("Ada"))) == New(("Ada",))
    assert _kind().state_of(encode(New(("Ada",)))) == New(("Ada",))


def test_every_kind_may_refuse_and_be_done() -> None:
    refused = Refused("no", "No.", {"left": 1})
    assert _kind().reply(encode(refused)) == refused
    assert _kind().reply(encode(Done())) == Done()


@pytest.mark.parametrize("what", ["command", "event", "reply"])
def test_what_nobody_knows_is_an_error(what: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        getattr(_kind(), what)(encode({"type": "Unheard/1"}))


@pytest.mark.parametrize(
    ("entity", "shard"),
    [
        ("", 0),
        ("a", 3),
        ("order-1", 47),
        ("0190b6a2-7e1c-7cc3-98c4-dc0c0c07398f", 18),
        ("Grüße", 49),
        ("SKU-0001", 6),
    ],
)
def test_an_id_has_its_shard_for_the_life_of_a_database(entity: str, shard: int) -> None:
    assert shard_of(entity, 64) == shard


def test_the_shards_are_all_used_about_equally() -> None:
    used = [0] * 64
    for n in range(6_400):
        used[shard_of(f"user-{n}", 64)] += 1
    assert min(used) > 50
    assert max(used) < 150


def test_what_is_stored_stays_readable() -> None:
    """The bytes of a record as they were first written: who changes the types must still read these."""
    body = Body(
        1_700_000_000_000,
        Note.DECISION,
        b"f",
        b"r",
        (b"e",),
        (SentMessage("k", "b", b"m", True),),
        (TimerNote("t", 5, b"c"),),
        (b"x",),
    )
    stored = bytes.fromhex(STORED)
    assert encode(body) == stored
    assert body_of(Record(b"", "k", 0, 1, 1, "a", 1, "c:1", stored)) == body
    assert body_of(Record(b"", "k", 0, 1, 1, "a", 1, "c:1", bytes.fromhex("9101"))) == Body(1)
    assert [s.value for s in Status] == list(range(8))


STORED = "98cf0000018bcfe5680000c40166c4017291c401659194a16ba162c4016dc39193a17405c4016391c40178"
