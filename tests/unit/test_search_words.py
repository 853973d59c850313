"""What people type: any text at all, synonyms that a merchant edits, words of German."""

import asyncio
import os
import time
from collections.abc import Iterator
from html import escape, unescape
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serve.catalog.search import synonyms
from serve.catalog.search.analysis import Analysis, folded, key, normal, value
from serve.catalog.search.base import Asked, Range, Wanted
from serve.catalog.search.embedded import EmbeddedSearch
from serve.catalog.search.facet_counts import price_terms, prices_in
from serve.catalog.search.highlights import Marker, within
from serve.catalog.search.queries import words_of
from serve.catalog.search.synonyms import BadSynonyms, Synonyms, parsed
from tests.unit.searching import demo, product, running, written

ENGLISH = Analysis("en")
# Whatever means something to some query language, and halves of characters, which cannot be encoded.
SYNTAX = st.sampled_from(
    [
        '"',
        "*",
        "?",
        "~2",
        "^9",
        " AND ",
        " OR ",
        "NOT ",
        "+",
        "-",
        "(",
        ")",
        "[a TO z]",
        "{",
        "name:",
        "id:-state-",
        "\\",
    ]
)
TEXTS = st.lists(
    st.one_of(SYNTAX, st.text(max_size=12), st.characters(categories=["Cs", "Cc", "Mn", "So"]), st.just("mug")),
    max_size=8,
).map("".join)


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as made:
        yield made


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory, runner: asyncio.Runner) -> Iterator[EmbeddedSearch]:
    folder = tmp_path_factory.mktemp("search")
    runner.run(written(folder, demo()))
    made = EmbeddedSearch(folder, ENGLISH, Synonyms(None, ENGLISH), seconds=60)
    yield made
    runner.run(made.close())


@given(text=TEXTS)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_text_breaks_search_or_gets_out_of_its_words(
    search: EmbeddedSearch, runner: asyncio.Runner, text: str
) -> None:
    found = runner.run(search.search(Asked(text=text, limit=3)))
    if not text.strip():
        assert found.total == 160
    elif not any(c.isalnum() for c in text):
        assert found.total == 0
    for hit in found.hits:
        assert hit.id != "-state-"
        shown = hit.highlights.name
        assert unescape(shown.replace("<mark>", "").replace("</mark>", "")) == hit.name
    runner.run(search.suggest(text, 8))


@given(text=TEXTS, name=TEXTS, low=st.none() | st.floats(allow_nan=False), path=TEXTS)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_filter_breaks_search(
    search: EmbeddedSearch, runner: asyncio.Runner, text: str, name: str, low: float | None, path: str
) -> None:
    wanted = Wanted((value(text),), (Range(low, None),))
    asked = Asked(categories=(path,) if path else (), attributes={key(name): wanted} if key(name) else {}, limit=1)
    runner.run(search.search(asked))


def test_query_syntax_is_only_words(search: EmbeddedSearch, runner: asyncio.Runner) -> None:
    plain = runner.run(search.search(Asked(text="moss mug")))
    for text in ("moss AND mug", "+moss +mug", '"moss" mug~', "(moss) mug*", "moss -mug", "name:moss mug"):
        found = runner.run(search.search(Asked(text=text)))
        assert plain.hits[0].id in [hit.id for hit in found.hits[:3]]
    assert runner.run(search.search(Asked(text="*"))).total == 0


@given(st.text(), st.text())
def test_what_is_marked_is_the_text_again(name: str, typed: str) -> None:
    marker = Marker(words_of(typed, ENGLISH), "typos", ENGLISH, {})
    shown = marker.highlights(name, "").name
    assert shown.replace("<mark>", "").replace("</mark>", "") == escape(name)


# Words


def test_words_are_folded() -> None:
    assert ENGLISH.words("The Baker’s CAFÉ, ﬁve-star №5") == ["the", "baker", "cafe", "five", "star", "no5"]
    assert normal("cafe\u0301") == "café"
    assert folded("  Größe  ÉTÉ ") == "grosse ete"
    assert (key("Thread count"), key("Größe (cm)"), key("…")) == ("thread_count", "grosse_cm", "")
    assert value("Red, 10..20") == "red 10.20"


def test_stop_words_matter_only_alone() -> None:
    assert words_of("soap for the bath", ENGLISH).words == ["soap", "bath"]
    assert words_of("for the", ENGLISH).words == ["for", "the"]
    assert [words_of(text, ENGLISH).open for text in ("mug", "mug ", "mug for", "")] == [True, False, False, False]


@pytest.mark.parametrize(
    ("one", "other", "most", "expected"),
    [
        ("kettle", "kettle", 0, True),
        ("kettel", "kettle", 1, True),
        ("ketle", "kettle", 1, True),
        ("kotel", "kettle", 1, False),
        ("kotle", "kettle", 2, True),
        ("ab", "abcd", 1, False),
        ("cats", "bads", 1, False),
        ("cats", "bads", 2, True),
        ("acts", "cast", 1, False),
    ],
)
def test_how_alike_words_are(one: str, other: str, most: int, expected: bool) -> None:
    assert within(one, other, most) is within(other, one, most) is expected


async def test_german_words(tmp_path: Path) -> None:
    async with running(tmp_path, "de") as world:
        await world.indexed(product("t", "Tücher aus Leinen", "Küche/Wäsche"), product("b", "Großer Becher", "Küche"))
        for typed, found in (("tuch", "t"), ("Tuecher", "t"), ("grosse becher", "b"), ("Tasse", "b"), ("wäsche", "t")):
            assert (await world.search.search(Asked(text=typed))).hits[0].id == found, typed


# Synonyms


def test_synonyms_are_read() -> None:
    groups = parsed("# comment\nmugs, Cup # more\n\nsofa => couch, settee\ndish towel, tea towel\n", ENGLISH)
    assert groups == {
        ("mug",): (("cup",),),
        ("cup",): (("mugs",),),
        ("sofa",): (("couch",), ("settee",)),
        ("dish", "towel"): (("tea", "towel"),),
        ("tea", "towel"): (("dish", "towel"),),
    }


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("mug", "line 1: a group needs two words or more, parted by commas"),
        ("mug, cup\nmug,, cup", "line 2: there is nothing between two commas, or at an end"),
        ("sofa =>", "line 1: there is nothing between two commas, or at an end"),
        ("a, b\n" * 10_001, "more than 10000 lines"),
    ],
)
def test_bad_synonyms_are_told(text: str, complaint: str) -> None:
    with pytest.raises(BadSynonyms, match=f"^{complaint}$"):
        parsed(text, ENGLISH)


def test_a_file_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(BadSynonyms, match=r"gone\.txt: \[Errno 2\]"):
        Synonyms(tmp_path / "gone.txt", ENGLISH)


@pytest.mark.parametrize("language", ["en", "de"])
def test_our_own_synonyms_can_be_read(language: str) -> None:
    assert len(Synonyms(None, Analysis(language)).groups()) > 20  # type: ignore[arg-type]


def test_an_edited_file_counts_and_a_broken_one_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synonyms, "LOOK_SECONDS", 0)
    path = tmp_path / "synonyms.txt"

    def write(text: str) -> None:
        path.write_text(text)
        os.utime(path, ns=(time.time_ns(), time.time_ns()))

    write("mug, cup")
    known = Synonyms(path, ENGLISH)
    assert known.known() is None
    assert set(known.groups()) == {("mug",), ("cup",)}
    write("sofa, couch")
    assert set(known.groups()) == {("sofa",), ("couch",)}
    write("sofa, couch\nbroken")
    assert set(known.groups()) == {("sofa",), ("couch",)}
    path.unlink()
    assert set(known.groups()) == {("sofa",), ("couch",)}


def test_a_file_that_was_just_looked_at_need_not_be_looked_at() -> None:
    synonyms_of_ours = Synonyms(None, ENGLISH)
    assert synonyms_of_ours.known() == synonyms_of_ours.groups()


# Prices


@pytest.mark.parametrize(
    ("price", "steps"),
    [
        (0, [(0, 100)]),
        (99, [(0, 100)]),
        (100, [(100, 200)]),
        (4_999, [(2_000, 5_000)]),
        (10**9, [(500_000_000, 10**9 + 1)]),
        (10**9 + 1, []),
    ],
)
def test_a_price_lies_in_one_step(price: int, steps: list[tuple[int, int]]) -> None:
    counted = prices_in([{"key": term, "doc_count": 1} for term in price_terms(price)])
    assert [(one["from"], one["to"]) for one in counted] == steps
