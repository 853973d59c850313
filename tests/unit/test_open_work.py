"""What a shard owes: a checkpoint and the records after it say the same as all records."""

from hypothesis import given, settings
from hypothesis import strategies as st

from actors.runtime.open_work import OpenWork
from actors.runtime.wire import Body, Record, SentMessage, TimerNote, encode


def record(seq: int, entity: str, version: int, command: str = "c:x") -> Record:
    return Record(b"", "k", 0, seq, 1, entity, version, command, b"")


def sends(*receivers: str) -> Body:
    return Body(5, sends=tuple(SentMessage("k", r, f"to {r} {n}".encode()) for n, r in enumerate(receivers)))


def test_messages_are_kept_in_order_within_their_pair_until_acknowledged() -> None:
    owed = OpenWork()
    opened = owed.note(record(1, "a", 1), sends("b", "c", "b"))
    assert opened.pairs == [("a", "k", "b"), ("a", "k", "c"), ("a", "k", "b")]
    owed.note(record(2, "a", 2), sends("b"))
    seen = []
    while (head := owed.head(("a", "k", "b"))) is not None:
        seen.append((head.version, head.index, head.at, head.command_id("k"), head.message))
        owed.acknowledged(("a", "k", "b"))
    assert seen == [
        (1, 0, 5, "m:k/a/1/0", b"to b 0"),
        (1, 2, 5, "m:k/a/1/2", b"to b 2"),
        (2, 0, 5, "m:k/a/2/0", b"to b 0"),
    ]
    assert owed.size == 1


def test_an_effect_is_open_until_its_answer_is_a_record() -> None:
    owed = OpenWork()
    opened = owed.note(record(1, "a", 1), Body(5, effects=(b"one", b"two")))
    assert [(e.command_id, e.request) for e in opened.effects] == [("e:1/0", b"one"), ("e:1/1", b"two")]
    owed.note(record(2, "b", 1, "e:1/0"), Body(6))
    assert owed.size == 2
    owed.note(record(3, "a", 2, "e:1/0"), Body(6))
    assert [e.request for e in owed.effects.values()] == [b"two"]
    owed.note(record(4, "a", 3, "e:1/1"), Body(6))
    assert owed.size == 0


def timer(name: str, at: int) -> Body:
    return Body(5, timers=(TimerNote(name, at, b"ring"),))


def test_a_timer_is_open_until_it_fires_is_cleared_or_replaced() -> None:
    owed = OpenWork()
    owed.note(record(1, "a", 1), timer("x/y", 10))
    owed.note(record(2, "b", 1), timer("x/y", 20))
    owed.note(record(3, "a", 2), timer("x/y", 30))
    assert {key: (t.version, t.at) for key, t in owed.timers.items()} == {("a", "x/y"): (2, 30), ("b", "x/y"): (1, 20)}
    # The first of the two fires late: it is not the one that is set now.
    owed.note(record(4, "a", 3, "t:1/x/y"), Body(31))
    assert ("a", "x/y") in owed.timers
    owed.note(record(5, "a", 4, "t:2/x/y"), Body(32))
    assert ("a", "x/y") not in owed.timers
    owed.note(record(6, "b", 2), timer("x/y", 0))
    assert owed.timers == {}


def test_a_timer_that_fires_may_set_itself_again() -> None:
    owed = OpenWork()
    owed.note(record(1, "a", 1), timer("poll", 10))
    opened = owed.note(record(2, "a", 2, "t:1/poll"), timer("poll", 20))
    assert [(t.version, t.at, t.command_id) for t in opened.timers] == [(2, 20, "t:2/poll")]
    assert owed.timers["a", "poll"] is opened.timers[0]


def test_what_is_parked_is_shown_and_kept_in_the_checkpoint() -> None:
    owed = OpenWork()
    owed.note(record(1, "a", 1), sends("b", "b"))
    owed.park(("a", "k", "b"))
    assert [p.index for p in owed.parked] == [0]
    head = owed.head(("a", "k", "b"))
    assert head is not None
    assert head.index == 1
    again = OpenWork(owed.checkpoint())
    assert (again.parked, again.sends) == (owed.parked, owed.sends)


def test_an_empty_checkpoint_is_the_beginning() -> None:
    assert (OpenWork(b"").seq, OpenWork(b"").size, OpenWork(OpenWork().checkpoint()).seq) == (0, 0, 0)


_entities = st.sampled_from("ab")
_steps = st.one_of(
    st.tuples(_entities, st.just("send"), st.sampled_from("bc")),
    st.tuples(_entities, st.just("effect"), st.just("")),
    st.tuples(_entities, st.just("timer"), st.sampled_from("xy")),
    st.tuples(_entities, st.just("clear"), st.sampled_from("xy")),
    st.tuples(_entities, st.just("answer"), st.integers(1, 12).map(str)),
    st.tuples(_entities, st.just("fire x"), st.integers(1, 12).map(str)),
)


def _history(steps: list[tuple[str, str, str]]) -> list[tuple[Record, Body]]:
    versions: dict[str, int] = {}
    history = []
    for seq, (entity, what, about) in enumerate(steps, 1):
        version = versions[entity] = versions.get(entity, 0) + 1
        body, command = Body(seq), f"c:{seq}"
        if what == "send":
            body = sends(about)
        elif what == "effect":
            body = Body(seq, effects=(b"request",))
        elif what in ("timer", "clear"):
            body = timer(about, 100 + seq if what == "timer" else 0)
        elif what == "answer":
            command = f"e:{about}/0"
        else:
            command = f"t:{about}/x"
        history.append((record(seq, entity, version, command), body))
    return history


@settings(max_examples=100, deadline=None)
@given(st.lists(_steps, max_size=12), st.integers(0, 12))
def test_a_checkpoint_anywhere_changes_nothing(steps: list[tuple[str, str, str]], cut: int) -> None:
    whole, before = OpenWork(), OpenWork()
    history = _history(steps)
    for entry in history:
        whole.note(*entry)
    for entry in history[:cut]:
        before.note(*entry)
    after = OpenWork(before.checkpoint())
    for entry in history[cut:]:
        after.note(*entry)
    assert after.checkpoint() == whole.checkpoint()
    assert encode(len(history)) == encode(whole.seq)
