"""What of a product stands in the index, and under which fields."""

import json
import math
from collections.abc import Iterator
from hashlib import blake2b
from importlib.metadata import version
from typing import NamedTuple

import msgspec
from tantivy import Document, Index, Schema, SchemaBuilder

from pipelines.events.catalog import ProductFacts, VariantFacts
from serve.catalog.search.analysis import Analysis, folded, key, normal, value

# Another number whenever what an index holds changes: an index of another recipe is built anew.
SCHEMA = 1
STATE = "-state-"
HIGHEST_KEY = (1 << 63) - 1

# Between the parts of a term; nothing that was folded has it.
PART = "\x1f"

TEXTS = ("name", "category", "attribute", "description")


class Kept(msgspec.Struct, frozen=True):
    """What a document keeps: the product, and which of its SKUs are in stock."""

    facts: ProductFacts
    in_stock: tuple[str, ...]


class State(msgspec.Struct, frozen=True):
    """Kept in a document of its own, written in the commit of what it tells."""

    position: int
    recipe: str


class Attribute(NamedTuple):
    """One value of a product, as filters and as people have it. `kind`: s text, b flag, n number."""

    key: str
    kind: str
    value: str
    name: str
    label: str


_encoder = msgspec.msgpack.Encoder()
_kept = msgspec.msgpack.Decoder(Kept)
_state = msgspec.msgpack.Decoder(State)


def recipe(analysis: Analysis) -> str:
    """Two indexes of one recipe hold the same of the same products."""
    return f"{SCHEMA}/{analysis.language}/{version('tantivy')}"


def schema() -> Schema:
    made = SchemaBuilder()
    for name in ("id", "sku"):
        made.add_text_field(name, tokenizer_name="raw", index_option="basic")
    for name in TEXTS:
        made.add_text_field(name, tokenizer_name="stemmed")
        made.add_text_field(f"{name}_words", tokenizer_name="plain")
    made.add_text_field("whole_name", tokenizer_name="raw", index_option="basic")
    # `facet` is what filters look for, `shown` the same with labels, for counting.
    made.add_text_field("facet", tokenizer_name="raw", index_option="basic")
    made.add_text_field("shown", tokenizer_name="raw", index_option="basic", fast=True)
    made.add_json_field("numbers", fast=True, tokenizer_name="raw", index_option="basic")
    made.add_boolean_field("available", indexed=True, fast=True)
    made.add_integer_field("price", indexed=True, fast=True)
    for name in ("by_price", "by_age"):
        made.add_integer_field(name, indexed=True, fast=True)
    made.add_text_field("by_name", tokenizer_name="raw", index_option="basic", fast=True)
    made.add_bytes_field("kept", stored=True)
    return made.build()


def prepare(index: Index, analysis: Analysis) -> None:
    """To be done with every index that is opened."""
    index.register_tokenizer("plain", analysis.plain)
    index.register_tokenizer("stemmed", analysis.stemmed)


def active(product: ProductFacts) -> list[VariantFacts]:
    """The variants that are for sale; none of a product that is not."""
    return [one for one in product.variants if one.status == "active"] if product.status == "active" else []


def category_paths(product: ProductFacts) -> list[tuple[str, str]]:
    """(path of slugs, name) from the root down, whether the event has slugs or whole paths."""
    found: list[tuple[str, str]] = []
    for slug, name in product.categories:
        above = found[-1][0] if found else ""
        found.append((f"{above}/{slug}" if above and not slug.startswith(f"{above}/") else slug, name))
    return found


def attributes(product: ProductFacts) -> list[Attribute]:
    """Those of the product and, as text, the options of its variants; each value once."""
    found: dict[tuple[str, str, str], Attribute] = {}
    options = [item for variant in active(product) for item in variant.options.items()]
    for name, given in [*product.attributes.items(), *options]:
        if not key(name):
            continue
        for one in given if isinstance(given, tuple) else (given,):
            made = _attribute(name, one)
            if made is not None:
                found.setdefault(made[:3], made)
    return list(found.values())


def _attribute(name: str, given: str | int | float | bool) -> Attribute | None:
    label = " ".join(name.replace(PART, " ").split())
    if isinstance(given, bool):
        said = str(given).lower()
        return Attribute(key(name), "b", said, label, said)
    if isinstance(given, int | float):
        number = float(given)
        return Attribute(key(name), "n", repr(number), label, "") if math.isfinite(number) else None
    shown = " ".join(given.replace(PART, " ").split())[:200]
    return Attribute(key(name), "s", value(shown), label, shown) if value(shown) else None


def document(product: ProductFacts, in_stock: frozenset[str]) -> Document | None:
    """None if nothing of it is for sale."""
    variants = active(product)
    if not variants:
        return None
    prices = [variant.price for variant in variants]
    paths, known = category_paths(product), attributes(product)
    made = Document()
    made.add_text("id", product.id)
    for variant in variants:
        made.add_text("sku", folded(variant.sku))
    made.add_text("whole_name", folded(product.name))
    texts = {
        "name": [product.name],
        "category": [name for _, name in paths],
        "attribute": [one.label for one in known if one.kind == "s"],
        "description": [product.description],
    }
    for field, said in texts.items():
        for text in said:
            made.add_text(field, normal(text))
            made.add_text(f"{field}_words", normal(text))
    for term in facet_terms(paths, known):
        made.add_text("facet", term)
    for term in shown_terms(paths, known):
        made.add_text("shown", term)
    made.add_json("numbers", json.dumps(numbers(known)))
    made.add_boolean("available", any(variant.sku in in_stock for variant in variants))
    made.add_integer("price", min(prices))
    made.add_integer("by_price", sort_key(min(prices), 30, product.id))
    made.add_integer("by_age", sort_key(product.created_at, 42, product.id))
    made.add_text("by_name", f"{folded(product.name)}{PART}{product.id}")
    made.add_bytes("kept", _encoder.encode(Kept(product, tuple(sorted(in_stock)))))
    return made


def sort_key(first: int, bits: int, id: str) -> int:
    """Orders by `first`, which has at most so many bits, and then, always in the same way, by product."""
    rest = 63 - bits
    tie = int.from_bytes(blake2b(id.encode(), digest_size=8).digest(), "big") >> (64 - rest)
    return min(max(first, 0), (1 << bits) - 1) << rest | tie


def facet_terms(paths: list[tuple[str, str]], known: list[Attribute]) -> Iterator[str]:
    for path, _ in paths:
        yield category_term(path)
    for one in known:
        yield attribute_term(one.key, "n" if one.kind == "n" else "s", one.value)


def category_term(path: str) -> str:
    return f"c{PART}{path}"


def attribute_term(key: str, kind: str, value: str) -> str:
    """`kind`: n for numbers, s for all else."""
    return f"{kind}{PART}{key}{PART}{value}"


def shown_terms(paths: list[tuple[str, str]], known: list[Attribute]) -> Iterator[str]:
    for path, name in paths:
        yield f"c{PART}{path}{PART}{name.replace(PART, ' ')}"
    for one in known:
        if one.kind != "n":
            yield f"{one.kind}{PART}{one.key}{PART}{one.value}{PART}{one.name}{PART}{one.label}"
    for name, label in {(one.key, one.name) for one in known if one.kind == "n"}:
        yield f"n{PART}{name}{PART}{label}"


def numbers(known: list[Attribute]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for one in known:
        if one.kind == "n":
            found.setdefault(one.key, []).append(float(one.value))
    return found


def state_document(state: State) -> Document:
    made = Document()
    made.add_text("id", STATE)
    made.add_bytes("kept", _encoder.encode(state))
    return made


def kept_in(document: Document) -> Kept:
    """Raises msgspec.MsgspecError for a document that is none of ours."""
    return _kept.decode(bytes(document.get_first("kept")))  # type: ignore[arg-type]  # what the stub calls Any | None


def state_in(document: Document) -> State:
    return _state.decode(bytes(document.get_first("kept")))  # type: ignore[arg-type]
